// Publishing: batches, keys, partitions, buffered, and properties of the hub.

import assert from "node:assert/strict";

import { onEachTransport, read } from "./support.mjs";

// Key -> partition of 4, by the service's hash.
const KEYS = { "device-1": "0", "device-2": "2", abcdefghijkl: "1", abcdefghijklm: "3", 日本語: "1" };

onEachTransport("one event arrives with its place in the log", async (clients) => {
  await clients.producer().sendBatch([{ body: "hello" }], { partitionId: "1" });
  const [event] = await read(clients, 1, { partition: "1" });
  assert.equal(event.body, "hello");
  assert.equal(event.sequenceNumber, 0);
  assert.match(event.offset, /^\d+$/);
  assert.equal(event.partitionKey, undefined);
  assert.ok(Math.abs(event.enqueuedTimeUtc - Date.now()) < 60_000);
});

onEachTransport("a batch arrives in order in one partition", async (clients) => {
  const producer = clients.producer();
  const batch = await producer.createBatch({ partitionId: "2" });
  for (let number = 0; number < 500; number++) assert.ok(batch.tryAdd({ body: number }));
  await producer.sendBatch(batch);
  const events = await read(clients, 500, { partition: "2" });
  assert.deepEqual(events.map((event) => event.body), Array.from({ length: 500 }, (_, n) => n));
  assert.deepEqual(events.map((event) => event.sequenceNumber), Array.from({ length: 500 }, (_, n) => n));
});

onEachTransport("a full batch is accepted and one event more does not fit", async (clients) => {
  const producer = clients.producer();
  const batch = await producer.createBatch({ partitionId: "0" });
  assert.equal(batch.maxSizeInBytes, 1024 * 1024);
  const body = Buffer.alloc(1000, 120);
  while (batch.tryAdd({ body }));
  assert.ok(batch.count > 1000);
  await producer.sendBatch(batch);
  const { lastEnqueuedSequenceNumber } = await producer.getPartitionProperties("0");
  assert.equal(lastEnqueuedSequenceNumber, batch.count - 1);
});

onEachTransport("a batch keeps the size it was asked for", async (clients) => {
  const producer = clients.producer();
  const batch = await producer.createBatch({ maxSizeInBytes: 2000 });
  assert.ok(batch.tryAdd({ body: Buffer.alloc(1500) }));
  assert.equal(batch.tryAdd({ body: Buffer.alloc(1500) }), false);
  await assert.rejects(producer.createBatch({ maxSizeInBytes: 2 * 1024 * 1024 }), /1048576/);
});

onEachTransport("a list without key goes to one partition, lists are spread", async (clients) => {
  const producer = clients.producer();
  for (let list = 0; list < 8; list++) await producer.sendBatch(Array.from({ length: 10 }, () => ({ body: list })));
  for (const partition of await producer.getPartitionIds()) {
    const { lastEnqueuedSequenceNumber } = await producer.getPartitionProperties(partition);
    assert.equal(lastEnqueuedSequenceNumber % 10, 9, `whole lists only in partition ${partition}`);
  }
});

onEachTransport("a key chooses the partition of the service's hash", async (clients) => {
  const producer = clients.producer();
  for (const key of Object.keys(KEYS)) {
    const batch = await producer.createBatch({ partitionKey: key });
    batch.tryAdd({ body: `${key} in a batch` });
    await producer.sendBatch(batch);
    await producer.sendBatch([{ body: `${key} in a list` }], { partitionKey: key });
  }
  const reader = clients.reader(clients.consumer());
  await reader.take(2 * Object.keys(KEYS).length);
  for (const [index, event] of reader.events.entries()) {
    assert.equal(reader.partitions[index], KEYS[event.partitionKey], event.partitionKey);
  }
});

onEachTransport("an event of almost a mebibyte arrives whole", async (clients) => {
  const body = Buffer.alloc(1_047_000, "0123456789abcdef\x00\xff", "latin1");
  await clients.producer().sendBatch([{ body }], { partitionId: "3" });
  const [event] = await read(clients, 1, { partition: "3" });
  assert.ok(body.equals(event.body));
});

onEachTransport("a hub and a partition describe themselves", async (clients) => {
  const producer = clients.producer();
  const hub = await producer.getEventHubProperties();
  assert.equal(hub.name, clients.hub);
  assert.deepEqual(hub.partitionIds, ["0", "1", "2", "3"]);
  assert.ok(Math.abs(hub.createdOn - Date.now()) < 600_000);
  assert.equal(hub.isGeoDrEnabled, false);

  const empty = await producer.getPartitionProperties("0");
  assert.equal(empty.isEmpty, true);
  assert.equal(empty.lastEnqueuedSequenceNumber, -1);
  await producer.sendBatch([{ body: "a" }, { body: "b" }], { partitionId: "0" });
  const [, last] = await read(clients, 2, { partition: "0" });
  for (const client of [producer, clients.consumer()]) {
    const filled = await client.getPartitionProperties("0");
    assert.equal(filled.eventHubName, clients.hub);
    assert.equal(filled.partitionId, "0");
    assert.equal(filled.isEmpty, false);
    assert.equal(filled.beginningSequenceNumber, 0);
    assert.equal(filled.lastEnqueuedSequenceNumber, 1);
    assert.equal(filled.lastEnqueuedOffset, last.offset);
    assert.deepEqual(filled.lastEnqueuedOnUtc, last.enqueuedTimeUtc);
  }
});

onEachTransport("a buffered producer delivers everything it was given", async (clients) => {
  const delivered = [];
  const failed = [];
  const producer = clients.bufferedProducer({
    maxWaitTimeInMs: 50,
    onSendEventsSuccessHandler: ({ events }) => delivered.push(...events),
    onSendEventsErrorHandler: ({ error }) => failed.push(error),
  });
  for (let number = 0; number < 200; number++) {
    await producer.enqueueEvent({ body: number }, { partitionKey: `key ${number % 7}` });
  }
  await producer.flush();
  assert.deepEqual(failed, []);
  assert.equal(delivered.length, 200);
  const events = await read(clients, 200);
  const numbers = events.map((event) => event.body).sort((a, b) => a - b);
  assert.deepEqual(numbers, Array.from({ length: 200 }, (_, n) => n));
});

onEachTransport("a buffered producer with idempotent retries delivers once", async (clients) => {
  const failed = [];
  const producer = clients.bufferedProducer({
    maxWaitTimeInMs: 50,
    enableIdempotentRetries: true,
    onSendEventsErrorHandler: ({ error }) => failed.push(error),
  });
  for (let number = 0; number < 20; number++) await producer.enqueueEvent({ body: number }, { partitionId: "0" });
  await producer.flush();
  for (let number = 20; number < 40; number++) await producer.enqueueEvent({ body: number }, { partitionId: "0" });
  await producer.flush();
  assert.deepEqual(failed, []);
  const events = await read(clients, 40, { partition: "0" });
  assert.deepEqual(events.map((event) => event.body), Array.from({ length: 40 }, (_, n) => n));
});
