// Giving up at any moment: the call ends with the signal's reason, and everything else goes on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { eventually } from "./support.mjs";

const REASON = new Error("changed my mind");

function aborted() {
  const controller = new AbortController();
  controller.abort(REASON);
  return controller.signal;
}

const gaveUp = (error) => error === REASON;

test("a signal that was given already ends every call before anything happens", async (t) => {
  const { producer, consumer, sockets } = await start(t);
  const [sender, reader] = [producer(), consumer()];
  const signal = aborted();
  const calls = [
    () => sender.send("x", { signal }),
    () => sender.createBatch({ signal }),
    () => sender.hubProperties({ signal }),
    () => reader.partitionProperties("0", { signal }),
    () => reader.receive("0").ready({ signal }),
    () => reader.receive("0").nextBatch({ signal }),
    () => reader.receive("0", { signal }).nextBatch(),
  ];
  for (const call of calls) await assert.rejects(call(), gaveUp);
  assert.equal(sockets.length, 0, "a call that was given up on must not connect");
});

test("a signal without a reason gives the usual one", async (t) => {
  const { producer } = await start(t);
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(producer().send("x", { signal: controller.signal }), { name: "AbortError" });
});

test("a reader that gives up loses nothing", async (t) => {
  const { producer, consumer } = await start(t);
  const stream = await consumer().receive("0", { from: "latest" }).ready();
  for (let n = 0; n < 20; n++) {
    const controller = new AbortController();
    const waiting = stream.nextBatch({ signal: controller.signal });
    if (n % 2 === 0) await Promise.resolve();
    controller.abort(REASON);
    await assert.rejects(waiting, gaveUp);
  }
  await producer().send(["a", "b"], { partitionId: "0" });
  const seen = [];
  while (seen.length < 2) seen.push(...(await stream.nextBatch({ maxWaitMs: 5000 })).map((event) => event.text()));
  assert.deepEqual(seen, ["a", "b"]);
});

test("sends that are given up on at every moment either arrive or do not, and later ones do", async (t) => {
  const { producer, consumer } = await start(t);
  const sender = producer();
  const outcomes = { sent: 0, gaveUp: 0 };
  for (let turns = 0; turns < 60; turns++) {
    const controller = new AbortController();
    const sending = sender.send(`${turns}`, { partitionId: "0", signal: controller.signal });
    // From before the connection is made to behind the acknowledgement.
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    controller.abort(REASON);
    await sending.then(
      () => (outcomes.sent += 1),
      (error) => (assert.ok(gaveUp(error), error), (outcomes.gaveUp += 1)),
    );
  }
  assert.equal(outcomes.sent + outcomes.gaveUp, 60);
  assert.ok(outcomes.gaveUp > 0);
  assert.equal(await sender.send("last", { partitionId: "0" }), 1);
  const texts = [];
  for await (const event of consumer().receive("0", { from: "earliest" })) {
    texts.push(event.text());
    if (texts.at(-1) === "last") break;
  }
  assert.ok(texts.length - 1 >= outcomes.sent, "what was acknowledged is there");
  assert.equal(new Set(texts).size, texts.length, "nothing is there twice");
});

test("a stream's own signal ends its loops with the reason", async (t) => {
  const { producer, consumer } = await start(t);
  await producer().send(["a", "b"], { partitionId: "0" });
  const controller = new AbortController();
  const seen = [];
  await assert.rejects(async () => {
    for await (const event of consumer().receive("0", { from: "earliest", signal: controller.signal })) {
      seen.push(event.text());
      if (seen.length === 2) setImmediate(() => controller.abort(REASON));
    }
  }, gaveUp);
  assert.deepEqual(seen, ["a", "b"]);
});

test("closing a stream ends the loop that waits on it, without an error", async (t) => {
  const { consumer } = await start(t);
  const stream = consumer().receive("0");
  const loop = (async () => {
    for await (const _ of stream) assert.fail("nothing was sent");
    return "ended";
  })();
  await stream.ready();
  await stream.close();
  assert.equal(await loop, "ended");
  await assert.rejects(stream.nextBatch(), ours("closed"));
});

test("closing a stream that is still attaching leaves no link", async (t) => {
  const { consumer, emulator } = await start(t);
  const reader = consumer();
  for (let n = 0; n < 10; n++) {
    const stream = reader.receive("0");
    const opening = stream.ready();
    for (let turn = 0; turn < n * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    await stream.close();
    await opening.catch(ours("closed"));
  }
  await reader.close();
  await eventually(() => emulator.connections === 0, "the connection is closed");
});

test("web streams read, write, cancel and abort", async (t) => {
  const { producer, consumer } = await start(t);
  const writer = producer().writable({ partitionId: "0" }).getWriter();
  for (const text of ["a", "b", "c"]) await writer.write(text);
  await writer.close();
  const reader = consumer().receive("0", { from: "earliest" }).readable().getReader();
  const seen = [];
  for (let n = 0; n < 3; n++) seen.push((await reader.read()).value.text());
  assert.deepEqual(seen, ["a", "b", "c"]);
  await reader.cancel();
  await assert.rejects(producer().writable().getWriter().write({ a: 1 }), ours("invalid-argument"));
});
