// The npm package of this project.

import { ConsumerClient, ProducerClient } from "eventhubs";

import { BATCH, PREFETCH } from "./cases.mjs";

export function producer({ connectionString, hub }) {
  return new ProducerClient(connectionString, hub);
}

export function body(size) {
  return Uint8Array.from({ length: size }, (_, index) => index);
}

/** Calls `take` with batches from the start of the partition until it returns false. */
export async function receive({ connectionString, hub, partition }, take) {
  const consumer = new ConsumerClient(connectionString, hub);
  const stream = consumer.receive(partition, { from: "earliest", prefetch: PREFETCH });
  for await (const events of stream.batches({ maxCount: BATCH })) {
    if (!take(events)) break;
  }
  await consumer.close();
}

/** Calls `take` with one event after the other until it returns false. */
export async function receiveEach({ connectionString, hub, partition }, take) {
  const consumer = new ConsumerClient(connectionString, hub);
  for await (const event of consumer.receive(partition, { from: "earliest", prefetch: PREFETCH })) {
    if (!take(event)) break;
  }
  await consumer.close();
}

/** Resolves when an event has arrived, everything as it is when nothing is said about it. */
export async function first({ connectionString, hub, partition }) {
  const consumer = new ConsumerClient(connectionString, hub);
  for await (const _ of consumer.receive(partition, { from: "earliest" })) return;
}

/** Calls `take` with what comes from now on; resolves when the partition is attached, to a function that ends it. */
export async function follow({ connectionString, hub, partition }, take, failed) {
  const consumer = new ConsumerClient(connectionString, hub);
  const stream = await consumer.receive(partition, { from: "latest" }).ready();
  const loop = async () => {
    for await (const events of stream.batches()) take(events);
  };
  loop().catch(failed);
  return () => consumer.close();
}
