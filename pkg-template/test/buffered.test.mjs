// Buffered and idempotent producers, against an emulator in this process.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { dist } from "./support.mjs";

const { BufferedProducerClient, ProducerClient, json } = await dist("index.js");
const { EventHubBufferedProducerClient, EventHubProducerClient } = await dist("compat.js");

const HUB = { hubs: { eh1: { partitions: 4 } } };
const PATIENT = { retry: { maxAttempts: 50, baseDelayMs: 5, maxDelayMs: 50, attemptTimeoutMs: 500 } };
const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => String(from + n));

async function setUp(t, options) {
  const running = await start(t, HUB);
  const { emulator } = running;
  const make = (more) =>
    new BufferedProducerClient(emulator.connectionString, "eh1", { maxWaitTimeMs: 10, ...PATIENT, ...options, ...more });
  return { ...running, make };
}

async function stored(consumer, partitionId) {
  const { lastEnqueuedSequenceNumber: last } = await consumer.partitionProperties(partitionId);
  const bodies = [];
  if (last < 0) return bodies;
  for await (const event of consumer.receive(partitionId, { from: "earliest" })) {
    bodies.push(event.text());
    if (event.sequenceNumber === last) break;
  }
  return bodies;
}

test("an idempotent producer stores once what it has to send twice, and another one goes on", async (t) => {
  const { emulator, producer, consumer } = await start(t, HUB);
  const first = producer({ idempotent: true, ...PATIENT });
  const fresh = await first.publishingState("0");
  assert.deepEqual([fresh.epoch, fresh.sequenceNumber], [0, -1]);
  const fault = emulator.faults.inject({ kind: "lose-ack", then: "drop", entity: "eh1", times: 2 });
  for (const text of numbers(0, 10)) await first.send(text, { partitionId: "0" });
  assert.equal(fault.end(), 2);
  const state = await first.publishingState("0");
  assert.deepEqual(state, { ...fresh, sequenceNumber: 9 });
  await first.close();

  const second = producer({ idempotent: true, publishingState: { 0: state }, ...PATIENT });
  const batch = await second.createBatch({ partitionId: "0" });
  for (const text of numbers(10, 13)) assert.ok(batch.tryAdd(text));
  await second.sendBatch(batch);
  assert.equal((await second.publishingState("0")).sequenceNumber, 12);
  assert.deepEqual(await stored(consumer(), "0"), numbers(0, 13));

  // Begins too low: the service refuses what it has in part.
  const third = producer({ idempotent: true, publishingState: { 0: { ...state, epoch: 1 } } });
  await assert.rejects(third.send(["a", "b", "c", "d"], { partitionId: "0" }), ours("rejected", /13 is expected next/));
  await assert.rejects(second.send("late", { partitionId: "0" }), ours("ownership-lost"));
});

test("a buffered producer finds the partition that a hub got later", async (t) => {
  const { emulator, make } = await setUp(t);
  const producer = make();
  assert.equal(await (await producer.enqueue("before", { partitionId: "1" })).stored, "1");
  emulator.deleteHub("eh1");
  emulator.createHub("eh1", 6);
  assert.equal(await (await producer.enqueue("after", { partitionId: "5" })).stored, "5");
  await assert.rejects(producer.enqueue("nowhere", { partitionId: "6" }), ours("not-found", /there are 0, 1, 2, 3, 4, 5/));
  await producer.close();
});

test("who begins to listen after the end hears that it was the end", async (t) => {
  const { make } = await setUp(t);
  const producer = make();
  const before = producer.outcomes();
  await (await producer.enqueue("x")).stored;
  await producer.close();
  assert.equal((await before.next()).value.error, undefined);
  assert.ok((await before.next()).done);
  assert.ok((await producer.outcomes().next()).done);
});

test("what an idempotent producer cannot do is refused at once", async (t) => {
  const { emulator, producer } = await start(t, HUB);
  const idempotent = producer({ idempotent: true });
  await assert.rejects(idempotent.send("no partition"), ours("invalid-argument", /told the partition/));
  await assert.rejects(producer().publishingState("0"), ours("invalid-argument", /not idempotent/));
  const state = { producerId: 1n, epoch: 0, sequenceNumber: -1 };
  const made = (options) => () => new ProducerClient(emulator.connectionString, "eh1", options);
  for (const wrong of [{ ...state, producerId: 1 }, { ...state, sequenceNumber: -2 }, { ...state, epoch: 1e6 }, { epoch: 0 }, "state"]) {
    assert.throws(made({ idempotent: true, publishingState: { 0: wrong } }), ours("invalid-argument", /publishingState/));
  }
  assert.throws(made({ idempotent: 1 }), ours("invalid-argument", /'idempotent'/));
});

test("a buffered producer gives a receipt for each event and keeps the keys", async (t) => {
  const { make, consumer } = await setUp(t);
  const buffered = make();
  const one = await buffered.enqueue("to a partition", { partitionId: "3" });
  const two = await buffered.enqueue({ body: { id: 1 }, partitionKey: "device-2" }, { codec: json() });
  assert.equal(await one.stored, "3");
  assert.equal(await two.stored, "2");
  const spread = await buffered.enqueueAll(numbers(0, 4));
  assert.deepEqual((await Promise.all(spread.map(({ stored }) => stored))).sort(), ["0", "1", "2", "3"]);
  for await (const event of consumer().receive("2", { from: "earliest", codec: json() })) {
    assert.deepEqual([event.body, event.partitionKey], [{ id: 1 }, "device-2"]);
    break;
  }
  await buffered.close();
});

test("events wait for a flush, in order, and are counted until they are acknowledged", async (t) => {
  const { make, consumer } = await setUp(t, { maxWaitTimeMs: 3_600_000 });
  const buffered = make();
  await buffered.enqueueAll(numbers(0, 100), { partitionId: "1" });
  assert.deepEqual([buffered.bufferedEventCount("1"), buffered.totalBufferedEventCount()], [100, 100]);
  await buffered.flush();
  assert.equal(buffered.totalBufferedEventCount(), 0);
  await buffered.enqueueAll(numbers(100, 110), { partitionId: "1" });
  await buffered.close();
  assert.deepEqual(await stored(consumer(), "1"), numbers(0, 110));
});

test("who finds no room waits for it in turn", async (t) => {
  const { make, consumer } = await setUp(t, { maxWaitTimeMs: 3_600_000, maxBufferedEventsPerPartition: 4 });
  const buffered = make();
  const receipts = await Promise.all(numbers(0, 60).map((text) => buffered.enqueue(text, { partitionId: "0" })));
  await buffered.close();
  await Promise.all(receipts.map(({ stored }) => stored));
  assert.deepEqual(await stored(consumer(), "0"), numbers(0, 60));

  const bytes = make({ maxBufferedEventsPerPartition: 1000, maxBufferedBytes: 100 });
  await bytes.enqueue(new Uint8Array(90), { partitionId: "1" });
  const giveUp = new AbortController();
  const waiting = bytes.enqueue(new Uint8Array(20), { partitionId: "1", signal: giveUp.signal });
  assert.equal(bytes.bufferedEventCount("1"), 1);
  giveUp.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await bytes.close();
});

test("what goes wrong reaches whoever asks, and nobody else", async (t) => {
  const { emulator, make } = await setUp(t, { retry: { maxAttempts: 1 } });
  const buffered = make();
  await assert.rejects(buffered.enqueue("x", { partitionId: "9" }), ours("not-found", /there are 0, 1, 2, 3/));
  await assert.rejects(buffered.enqueue({ body: "x", partitionKey: "k" }, { partitionId: "0" }), ours("invalid-argument", /leave one out/));
  await assert.rejects(buffered.enqueue(undefined), ours("invalid-argument"));
  await assert.rejects(buffered.enqueueAll(["x", 5]), (error) => ours("invalid-argument")(error) && error.eventIndex === 1);
  assert.throws(() => make({ maxBufferedBytes: 0 }), ours("invalid-argument", /maxBufferedBytes/));
  assert.throws(() => make({ maxWaitTime: 5 }), ours("invalid-argument", /did you mean/));

  const outcomes = buffered.outcomes();
  await buffered.flush();
  const fault = emulator.faults.inject({ kind: "busy", on: "send", entity: "eh1" });
  // Nobody asks for this receipt: its failure is no unhandled one.
  await buffered.enqueue("a", { partitionId: "0" });
  let told = (await outcomes.next()).value;
  while (!told.error) told = (await outcomes.next()).value;
  assert.deepEqual([told.partitionId, told.events, told.error.code], ["0", ["a"], "server-busy"]);
  fault.end();
  const large = await buffered.enqueue(new Uint8Array(2 * 1024 * 1024), { partitionId: "0" });
  await assert.rejects(large.stored, ours("message-too-large"));
  await buffered.close();
  for (;;) if ((await outcomes.next()).done) break;
});

test("what is not sent when it is closed without a flush says so", async (t) => {
  const { make, consumer } = await setUp(t, { maxWaitTimeMs: 3_600_000 });
  const buffered = make();
  const receipt = await buffered.enqueue("given up", { partitionId: "0" });
  await buffered.close({ flush: false });
  await assert.rejects(receipt.stored, ours("closed"));
  await assert.rejects(buffered.enqueue("late"), ours("closed"));
  assert.deepEqual(await stored(consumer(), "0"), []);
});

test("over an idempotent producer nothing is lost, repeated or out of order", async (t) => {
  const { emulator, make, consumer } = await setUp(t, { idempotent: true, maxBufferedEventsPerPartition: 20 });
  const buffered = make();
  const fault = emulator.faults.inject({ kind: "lose-ack", then: "drop", entity: "eh1", after: 2, times: 3 });
  const receipts = await buffered.enqueueAll(numbers(0, 300), { partitionId: "0" });
  await buffered.close();
  await Promise.all(receipts.map(({ stored }) => stored));
  assert.equal(fault.end(), 3);
  assert.deepEqual(await stored(consumer(), "0"), numbers(0, 300));
});

test("the compatible buffered producer retries idempotently", async (t) => {
  const { emulator, consumer } = await start(t, HUB);
  const failed = [];
  const buffered = new EventHubBufferedProducerClient(emulator.connectionString, "eh1", {
    enableIdempotentRetries: true,
    maxWaitTimeInMs: 10,
    maxEventBufferLengthPerPartition: 10,
    webSocketOptions: { webSocket: emulator.WebSocket },
    retryOptions: { maxRetries: 5, retryDelayInMs: 10 },
    onSendEventsErrorHandler: ({ error }) => failed.push(error),
  });
  const fault = emulator.faults.inject({ kind: "lose-ack", then: "drop", entity: "eh1", after: 1, times: 2 });
  for (const text of numbers(0, 60)) await buffered.enqueueEvent({ body: Buffer.from(text) }, { partitionId: "0" });
  await buffered.close();
  assert.deepEqual(failed, []);
  assert.equal(fault.end(), 2);
  assert.deepEqual(await stored(consumer(), "0"), numbers(0, 60));

  // The plain one has no such option, as the official one's types say.
  const plain = new EventHubProducerClient(emulator.connectionString, "eh1", {
    enableIdempotentRetries: true,
    webSocketOptions: { webSocket: emulator.WebSocket },
  });
  await plain.sendBatch([{ body: "without a partition" }]);
  await plain.close();
});
