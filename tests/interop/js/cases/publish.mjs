// Publishing: batches, keys, partitions, buffered, and properties of the hub.

import assert from "node:assert/strict";

import { fault, onEachTransport, read } from "./support.mjs";

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

onEachTransport("a buffered producer with idempotent retries delivers once, whatever is lost", async (clients) => {
  const failed = [];
  const producer = clients.bufferedProducer({
    maxWaitTimeInMs: 50,
    enableIdempotentRetries: true,
    onSendEventsErrorHandler: ({ error }) => failed.push(error),
  });
  const enqueue = async (from, to) => {
    for (let number = from; number < to; number++) await producer.enqueueEvent({ body: number }, { partitionId: "0" });
    await producer.flush();
  };
  await enqueue(0, 20);
  // Stored, and the connection breaks before the SDK hears of it: it sends the same numbers again.
  const heal = await fault({ kind: "lose-ack", then: "drop", entity: clients.hub, times: 1 });
  await enqueue(20, 40);
  assert.equal(await heal(), 1);
  await enqueue(40, 60);
  assert.deepEqual(failed, []);
  const events = await read(clients, 60, { partition: "0" });
  assert.deepEqual(events.map((event) => event.body), Array.from({ length: 60 }, (_, n) => n));
  const { lastEnqueuedSequenceNumber } = await producer.getPartitionProperties("0");
  assert.equal(lastEnqueuedSequenceNumber, 59);
});

onEachTransport("of two idempotent producers that are the same one the higher owner level goes on", async (clients) => {
  // The options are hidden from the SDK's types, not from its code.
  const idempotent = (more) => {
    const producer = clients.producer({});
    producer._enableIdempotentRetries = true;
    producer._partitionOptions = more;
    return producer;
  };
  const first = idempotent(undefined);
  await first.sendBatch([{ body: "a" }, { body: "b" }], { partitionId: "1" });
  const { producerGroupId, ownerLevel, lastPublishedSequenceNumber } = await first.getPartitionPublishingProperties("1");
  assert.ok(Number.isSafeInteger(producerGroupId) && producerGroupId > 0);
  assert.deepEqual([ownerLevel, lastPublishedSequenceNumber], [0, 1]);

  const options = { producerGroupId, ownerLevel: ownerLevel + 1, startingSequenceNumber: lastPublishedSequenceNumber };
  const second = idempotent({ 1: options });
  await second.sendBatch([{ body: "c" }], { partitionId: "1" });
  await assert.rejects(first.sendBatch([{ body: "stolen" }], { partitionId: "1" }), { code: "ProducerDisconnectedError" });

  const third = idempotent({ 1: { ...options, startingSequenceNumber: 1 } });
  // One event of the list is stored already, one is not.
  await assert.rejects(third.sendBatch([{ body: "c" }, { body: "d" }], { partitionId: "1" }), {
    code: "SequenceOutOfOrderError",
  });
  const events = await read(clients, 3, { partition: "1" });
  assert.deepEqual(events.map((event) => event.body), ["a", "b", "c"]);
});
