// This package's clients find the emulator by its connection string alone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dist, eventually } from "./support.mjs";

const { Emulator } = await dist("emulator.js");
const { ConsumerClient, EventHubsError, ProducerClient, json } = await dist("index.js");

const QUICK = { retry: { maxAttempts: 2, baseDelayMs: 10, totalDeadlineMs: 5000 } };

/** An emulator and clients that are gone when the test is over. */
async function start(t, options) {
  const emulator = await Emulator.start(options);
  const open = [];
  const keep = (client) => (open.push(client), client);
  t.after(async () => {
    for (const client of open.reverse()) await client.close();
    await emulator.stop();
  });
  return {
    emulator,
    producer: (hub = "eh1", more) => keep(new ProducerClient(emulator.connectionString, hub, { ...QUICK, ...more })),
    consumer: (hub = "eh1", more) => keep(new ConsumerClient(emulator.connectionString, hub, { ...QUICK, ...more })),
  };
}

async function take(stream, count) {
  const events = [];
  while (events.length < count) {
    const batch = await stream.nextBatch({ maxCount: count - events.length, maxWaitMs: 10_000 });
    assert.notEqual(batch.length, 0, `only ${events.length} of ${count} events came`);
    events.push(...batch);
  }
  await stream.close();
  return events;
}

test("events go in and come out, from every position", async (t) => {
  const { emulator, producer, consumer } = await start(t);
  const sender = producer();
  assert.deepEqual(await sender.partitionIds(), ["0", "1", "2", "3"]);
  assert.equal(await sender.send([{ n: 0 }, { n: 1 }, { n: 2 }], { partitionId: "2", codec: json() }), 3);
  const reader = consumer("eh1", { consumerGroup: "cg1" });
  const events = await take(reader.receive("2", { from: "earliest", codec: json() }), 3);
  assert.deepEqual(
    events.map(({ body, sequenceNumber }) => [body.n, sequenceNumber]),
    [
      [0, 0],
      [1, 1],
      [2, 2],
    ],
  );
  const from = [{ offset: events[0].offset }, { sequenceNumber: 1, inclusive: true }, { enqueuedTime: new Date(0) }];
  const first = [1, 1, 0];
  for (const [index, position] of from.entries()) {
    const [event] = await take(reader.receive("2", { from: position, codec: json() }), 1);
    assert.equal(event.body.n, first[index], JSON.stringify(position));
  }
  const { lastEnqueuedSequenceNumber, isEmpty } = await reader.partitionProperties("2");
  assert.deepEqual([lastEnqueuedSequenceNumber, isEmpty], [2, false]);
  assert.ok(emulator.storedBytes > 0);
  assert.equal(emulator.connections, 2);
});

test("many events of many sizes arrive whole and in order", async (t) => {
  const { producer, consumer } = await start(t, { hubs: { eh1: 1 } });
  const sizes = Array.from({ length: 3000 }, (_, n) => (n * 7919) % 5000);
  sizes[1000] = 900_000;
  const bodies = sizes.map((size, n) => new Uint8Array(size).fill(n));
  assert.equal(await producer().send(bodies, { partitionId: "0" }), bodies.length);
  const events = await take(consumer().receive("0", { from: "earliest" }), bodies.length);
  for (const [n, { body, sequenceNumber }] of events.entries()) {
    assert.equal(sequenceNumber, n);
    assert.equal(body.length, sizes[n]);
    assert.ok(body.every((byte) => byte === (n & 255)));
  }
});

test("a wrong key, an unknown hub and a full emulator are said with their codes", async (t) => {
  const { emulator, producer } = await start(t, { hubs: { eh1: 1 }, maxBytes: 1_000_000 });
  const wrong = new ProducerClient(emulator.connectionString.replace("SAS_KEY_VALUE", "d3Jvbmc="), "eh1", QUICK);
  const code = (code) => (error) => error instanceof EventHubsError && error.code === code;
  await assert.rejects(wrong.send("x"), code("unauthorized"));
  await wrong.close();
  await assert.rejects(producer("none").send("x"), code("not-found"));
  const sender = producer();
  const fill = async () => {
    for (let n = 0; n < 3; n++) await sender.send(new Uint8Array(500_000));
  };
  await assert.rejects(fill(), code("quota-exceeded"));
});

test("the errors of the emulator are those of the clients", async () => {
  await assert.rejects(Emulator.start({ hub: 1 }), (error) => error instanceof EventHubsError);
});

test("a reader waits for what comes later, and hears of it at once", async (t) => {
  const { producer, consumer } = await start(t);
  const stream = await consumer().receive("0", { from: "latest" }).ready();
  const next = stream.nextBatch();
  await producer().send("later", { partitionId: "0" });
  assert.equal((await next)[0].text(), "later");
  await stream.close();
});

test("stopping while clients send and receive ends their calls with an error", async (t) => {
  const { emulator, producer, consumer } = await start(t);
  const stream = await consumer().receive("0", { from: "latest" }).ready();
  const sender = producer();
  await sender.send("before", { partitionId: "1" });
  const failing = [stream.nextBatch(), (async () => { for (;;) await sender.send("again and again"); })()];
  await emulator.stop();
  for (const promise of failing) {
    await assert.rejects(promise, (error) => error instanceof EventHubsError && error.retryable);
  }
});

test("closed clients leave nothing behind", async (t) => {
  const { emulator } = await start(t);
  for (let n = 0; n < 3; n++) {
    const sender = new ProducerClient(emulator.connectionString, "eh1");
    await sender.send("x");
    await sender.close();
  }
  await eventually(() => emulator.connections === 0, "no connection is left");
});
