// What is closed leaves nothing behind: sockets, handlers, timers, calls, memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { start } from "./facade-support.mjs";
import { dist, eventually } from "./support.mjs";

const engine = await dist("wasm/eventhubs.js");

/** Everything that a client may leave behind. */
function left({ sockets }) {
  const handlers = ["onopen", "onmessage", "onclose"];
  return {
    openSockets: sockets.filter((socket) => socket.readyState < 2).length,
    handlers: sockets.flatMap((socket) => handlers.filter((name) => socket[name] !== null)).length,
    calls: engine.underWay(),
    timers: process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length,
  };
}

const NOTHING = { openSockets: 0, handlers: 0, calls: 0 };

/** One life of a producer and a consumer, with calls of every kind, some given up on. */
async function life({ producer, consumer }) {
  const [sender, reader] = [producer(), consumer()];
  await sender.send(["a", { body: "b", properties: { n: 1 } }], { partitionId: "0" });
  const batch = await sender.createBatch();
  batch.tryAdd("c");
  await sender.sendBatch(batch);
  await sender.createBatch();
  const controller = new AbortController();
  const stream = reader.receive("0", { from: "earliest" });
  const [event] = await stream.nextBatch();
  assert.equal(event.text(), "a");
  const waiting = reader.receive("1").nextBatch({ signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await reader.partitionProperties("0");
  await Promise.all([stream.close(), sender.close(), reader.close()]);
}

test("a hundred lives of two clients leave no socket, handler, timer, call or memory", async (t) => {
  const clients = await start(t);
  for (let n = 0; n < 10; n++) await life(clients);
  await eventually(() => clients.emulator.connections === 0, "the first ten are gone");
  const timers = left(clients).timers;
  const before = process.memoryUsage().external;
  for (let n = 0; n < 100; n++) await life(clients);
  await eventually(() => clients.emulator.connections === 0, "all are gone");
  const { timers: timersLeft, ...rest } = left(clients);
  assert.deepEqual(rest, NOTHING);
  assert.ok(timersLeft <= timers, `${timersLeft} timers, ${timers} at first`);
  assert.equal(clients.sockets.length, 220);
  const grown = (process.memoryUsage().external - before) / 1e6;
  assert.ok(grown < 16, `memory outside the heap grew by ${grown} MB`);
});

test("clients that are closed at any moment of connecting leave nothing", async (t) => {
  const clients = await start(t);
  for (let turns = 0; turns < 40; turns++) {
    const sender = clients.producer();
    const sending = sender.send("x").catch((error) => assert.ok(["closed", "connection-lost"].includes(error.code), error));
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await sender.close();
    await sending;
  }
  await eventually(() => clients.emulator.connections === 0, "all are gone");
  const { timers: _, ...rest } = left(clients);
  assert.deepEqual(rest, NOTHING);
});

test("a connection that the other side drops is made anew, and the old one leaves nothing", async (t) => {
  const clients = await start(t);
  const [sender, reader] = [clients.producer({ retry: { baseDelayMs: 1 } }), clients.consumer({ retry: { baseDelayMs: 1 } })];
  const stream = await reader.receive("0", { from: "earliest" }).ready();
  for (let n = 0; n < 5; n++) {
    await sender.send(`${n}`, { partitionId: "0" });
    assert.equal((await stream.nextBatch({ maxCount: 1 }))[0].text(), `${n}`);
    // As a network does it: nobody says goodbye to the client.
    for (const socket of clients.sockets) if (socket.readyState === 1) socket.close(4000, "cut");
  }
  await sender.send("last", { partitionId: "0" });
  assert.equal((await stream.nextBatch())[0].text(), "last");
  assert.ok(clients.sockets.length >= 10, "each cut made two new sockets");
  await Promise.all([sender.close(), reader.close()]);
  await eventually(() => clients.emulator.connections === 0, "all are gone");
  const { timers: _, ...rest } = left(clients);
  assert.deepEqual(rest, NOTHING);
});

test("a closed client lets go of the functions that it was given", async (t) => {
  const { emulator } = await start(t);
  const { ProducerClient } = await dist("index.js");
  const given = await (async () => {
    class Mine extends emulator.WebSocket {}
    const client = new ProducerClient(emulator.connectionString, "eh1", { webSocket: Mine });
    // It leads back to the client, as a class that reports on it does.
    Mine.client = client;
    await client.send("x");
    await client.close();
    return new WeakRef(Mine);
  })();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  await eventually(() => (collect(), given.deref() === undefined), "the class is collected");
});

test("two clients in one program do not disturb each other", async (t) => {
  const clients = await start(t);
  const [one, other] = [clients.producer(), clients.producer()];
  const sent = await Promise.all([one, other].map((client, n) => client.send(new Array(500).fill(`${n}`), { partitionId: `${n}` })));
  assert.deepEqual(sent, [500, 500]);
  await one.close();
  assert.equal(await other.send("still here"), 1);
});

test("timers and input get their turn while a loop works through events that lie ready", async (t) => {
  const clients = await start(t, { hubs: { eh1: 1 } });
  await clients.producer().send(new Array(300).fill("x"), { partitionId: "0" });
  const stream = clients.consumer().receive("0", { from: "earliest" });
  assert.equal((await stream.next()).value.text(), "x");
  // All of them are there when the emulator has had many turns in which it could have sent more.
  for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
  let turns = 0;
  const pulse = setInterval(() => (turns += 1), 0);
  for (let seen = 1; seen < 300; seen++) {
    await stream.next();
    const start = performance.now();
    while (performance.now() - start < 1);
  }
  clearInterval(pulse);
  await stream.close();
  assert.ok(turns >= 4, `in 300 ms of work a timer had ${turns} turns`);
});
