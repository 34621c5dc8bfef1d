// Consuming from every kind of position.

import assert from "node:assert/strict";

import { earliestEventPosition, latestEventPosition } from "@azure/event-hubs";

import { eventually, onEachTransport, read } from "./support.mjs";

/** Twenty events in partition 0, the last at a later millisecond than the others; as received. */
async function log(clients) {
  const producer = clients.producer();
  for (let number = 0; number < 19; number++) await producer.sendBatch([{ body: number }], { partitionId: "0" });
  const { lastEnqueuedOnUtc: earlier } = await producer.getPartitionProperties("0");
  await eventually(async () => {
    await producer.sendBatch([{ body: "later" }], { partitionId: "1" });
    return (await producer.getPartitionProperties("1")).lastEnqueuedOnUtc > earlier;
  }, "the emulator's clock moves on");
  await producer.sendBatch([{ body: 19 }], { partitionId: "0" });
  return read(clients, 20, { partition: "0" });
}

async function bodiesFrom(clients, startPosition) {
  const reader = clients.reader(clients.consumer(), { partition: "0", startPosition });
  return reader.takeUntil(19);
}

const numbers = (first) => Array.from({ length: 20 - first }, (_, n) => n + first);

const POSITIONS = {
  "from the earliest": () => [earliestEventPosition, numbers(0)],
  "behind an offset": (events) => [{ offset: events[7].offset }, numbers(8)],
  "from an offset inclusive": (events) => [{ offset: events[7].offset, isInclusive: true }, numbers(7)],
  "behind a sequence number": () => [{ sequenceNumber: 12 }, numbers(13)],
  "from a sequence number inclusive": () => [{ sequenceNumber: 12, isInclusive: true }, numbers(12)],
  "behind a time": (events) => {
    const time = events[18].enqueuedTimeUtc;
    return [{ enqueuedOn: time }, events.filter((e) => e.enqueuedTimeUtc > time).map((e) => e.body)];
  },
  "from a time before everything": (events) => [{ enqueuedOn: events[0].enqueuedTimeUtc - 3_600_000 }, numbers(0)],
};

for (const [name, position] of Object.entries(POSITIONS)) {
  onEachTransport(name, async (clients) => {
    const [start, expected] = position(await log(clients));
    assert.equal(expected.at(-1), 19);
    assert.deepEqual(await bodiesFrom(clients, start), expected);
  });
}

onEachTransport("from the latest only what comes later", async (clients) => {
  await log(clients);
  const producer = clients.producer();
  const reader = clients.reader(clients.consumer(), { partition: "0", startPosition: latestEventPosition });
  // Nothing tells when the link is there, so events are sent until one arrives.
  await eventually(async () => {
    await producer.sendBatch([{ body: "live" }], { partitionId: "0" });
    return reader.events.length > 0;
  }, "an event behind the latest");
  assert.deepEqual(new Set(reader.bodies()), new Set(["live"]));
  const first = reader.events[0].sequenceNumber;
  assert.ok(first >= 20);
  assert.deepEqual(
    reader.events.map((event) => event.sequenceNumber),
    reader.events.map((_, index) => first + index),
  );
});

onEachTransport("positions for each partition, and all partitions at once", async (clients) => {
  await log(clients);
  const producer = clients.producer();
  await producer.sendBatch([{ body: "end of 1" }], { partitionId: "1" });
  const reader = clients.reader(clients.consumer(), {
    startPosition: { 0: { sequenceNumber: 17 }, 1: earliestEventPosition, 2: earliestEventPosition, 3: earliestEventPosition },
  });
  await reader.takeUntil(19);
  await reader.takeUntil("end of 1");
  assert.deepEqual(reader.bodies().filter((_, index) => reader.partitions[index] === "0"), [18, 19]);
});

onEachTransport("more events than one window of credit", async (clients) => {
  const producer = clients.producer();
  const batch = await producer.createBatch({ partitionId: "0" });
  for (let number = 0; number < 3000; number++) batch.tryAdd({ body: number });
  await producer.sendBatch(batch);
  const events = await read(clients, 3000, { partition: "0", maxBatchSize: 10 });
  assert.deepEqual(events.map((event) => event.body), Array.from({ length: 3000 }, (_, n) => n));
});

onEachTransport("each consumer group sees every event", async (clients) => {
  await log(clients);
  for (const group of ["other", "OTHER"]) {
    const reader = clients.reader(clients.consumer({ group }), { partition: "0" });
    assert.deepEqual(await reader.takeUntil(19), numbers(0));
  }
});

onEachTransport("the last enqueued event is tracked", async (clients) => {
  const events = await log(clients);
  const reader = clients.reader(clients.consumer(), { partition: "0", trackLastEnqueuedEventProperties: true });
  await reader.take(20);
  const tracked = reader.contexts["0"];
  assert.equal(tracked.sequenceNumber, 19);
  assert.equal(tracked.offset, events[19].offset);
  assert.deepEqual(new Date(tracked.enqueuedOn), events[19].enqueuedTimeUtc);
  assert.ok(new Date(tracked.retrievedOn) >= events[19].enqueuedTimeUtc);
});
