// What goes wrong on purpose in the emulator of a page, and what clients make of it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";

const to0 = { partitionId: "0" };

async function first(consumer, count) {
  const texts = [];
  for await (const event of consumer.receive("0", { from: "earliest" })) {
    texts.push(event.text());
    if (texts.length === count) return texts;
  }
}

test("a fault lives until it is ended, and counts how often it struck", async (t) => {
  const { emulator, producer } = await start(t);
  const sender = producer({ retry: { maxAttempts: 1 } });
  const fault = emulator.faults.inject({ kind: "busy", entity: "eh1" });
  assert.equal(fault.hits, 0);
  const hit = fault.untilHit();
  await assert.rejects(sender.send("x", to0), ours("server-busy", /Error code : 50002/));
  assert.equal(await hit, 1);
  assert.equal(fault.end(), 1);
  assert.equal(fault.end(), 1);
  await sender.send("x", to0);
  assert.equal(fault.hits, 1);
});

test("whatever breaks a connection is recovered from", async (t) => {
  for (const fault of [
    { kind: "drop" },
    { kind: "drop", on: "send", times: 1 },
    { kind: "detach", on: "send", times: 1 },
    { kind: "end", on: "send", times: 1 },
    { kind: "close", on: "send", times: 1 },
    { kind: "restart" },
  ]) {
    await t.test(JSON.stringify(fault), async (t) => {
      const { emulator, producer, consumer } = await start(t);
      const sender = producer();
      await sender.send("before", to0);
      const set = emulator.faults.inject(fault);
      await sender.send("after", to0);
      assert.equal(await set.untilHit(), 1);
      set.end();
      assert.deepEqual(await first(consumer(), 2), ["before", "after"]);
    });
  }
});

test("what was stored and not answered is sent again", async (t) => {
  for (const fault of [
    { kind: "lose-ack", then: "drop", times: 1 },
    { kind: "cut-frame", on: "sent", times: 1 },
    { kind: "duplicate", times: 1 },
  ]) {
    await t.test(JSON.stringify(fault), async (t) => {
      const { emulator, producer, consumer } = await start(t);
      const sender = producer();
      await sender.send("before", to0);
      const set = emulator.faults.inject(fault);
      await sender.send("after", to0);
      assert.equal(set.end(), 1);
      assert.deepEqual(await first(consumer(), 3), ["before", "after", "after"]);
    });
  }
});

test("a wire is as slow as it is told to be, and swallows what it is told to", async (t) => {
  const { emulator, producer } = await start(t);
  const sender = producer({ retry: { maxAttempts: 1, attemptTimeoutMs: 200 } });
  await sender.send("x", to0);
  for (const fault of [
    { kind: "delay", delayMs: 40 },
    { kind: "slow-disk", delayMs: 80 },
    { kind: "bandwidth", bytesPerSecond: 40_000 },
  ]) {
    const set = emulator.faults.inject(fault);
    const begin = performance.now();
    await sender.send("x".repeat(2800), to0);
    assert.ok(performance.now() - begin > 65, `${fault.kind}: ${performance.now() - begin}`);
    assert.ok(set.end() >= 1);
  }
  emulator.faults.inject({ kind: "half-open" });
  await assert.rejects(sender.send("x", to0), ours("timeout"));
});

test("new connections are refused, and tokens, and clocks are off", async (t) => {
  const { emulator, producer } = await start(t);
  const once = () => producer({ retry: { maxAttempts: 1 } });
  for (const [fault, code, words] of [
    [{ kind: "refuse" }, "connect-failed", /./],
    [{ kind: "refuse-token", status: 401 }, "unauthorized", /InvalidSignature/],
    [{ kind: "skew-clock", skewMs: 86_400_000 }, "unauthorized", /ExpiredToken/],
  ]) {
    const set = emulator.faults.inject(fault);
    await assert.rejects(once().send("x", to0), ours(code, words));
    assert.ok(set.end() >= 1);
  }
  await once().send("x", to0);
});

test("a reader's place is stolen, or it hears nothing until it is let", async (t) => {
  const { emulator, producer, consumer } = await start(t);
  const sender = producer();
  await sender.send("one", to0);
  const events = consumer().receive("0", { from: "earliest" })[Symbol.asyncIterator]();
  assert.equal((await events.next()).value.text(), "one");
  const stopped = emulator.faults.inject({ kind: "stop-partition", partition: "0", role: "receive" });
  await sender.send("two", to0);
  const next = events.next();
  await stopped.untilHit();
  stopped[Symbol.dispose]();
  assert.equal((await next).value.text(), "two");
  emulator.faults.inject({ kind: "steal-link" });
  await assert.rejects(events.next(), ours("ownership-lost", /New receiver 'nil'/));
});

test("what is wrong with a fault is said, with what was probably meant", async (t) => {
  const { emulator } = await start(t);
  for (const [fault, words] of [
    [{ kind: "drpo" }, /there is no kind of fault 'drpo': did you mean 'drop'\?/],
    [{ kind: "drop", afer: 1 }, /has no 'afer': did you mean 'after'\?/],
    [{ kind: "delay" }, /needs 'delayMs'/],
    [{ kind: "drop", after: {} }, /'after' must be a text, a number, true or false/],
    [{ kind: "drop", after: NaN }, /'after' must be a whole number/],
    ["drop", /a fault must be an object/],
    [null, /a fault must be an object/],
  ]) {
    assert.throws(() => emulator.faults.inject(fault), ours("invalid-argument", words));
  }
  for (let n = 0; n < 64; n += 1) emulator.faults.inject({ kind: "refuse", client: String(n) });
  assert.throws(() => emulator.faults.inject({ kind: "refuse" }), ours("invalid-argument", /64 faults are set/));
  emulator.faults.clear();
  const last = emulator.faults.inject({ kind: "refuse" });
  const hit = last.untilHit();
  await emulator.stop();
  assert.equal(await hit, 0);
  assert.equal(last.end(), 0);
  assert.throws(() => emulator.faults.inject({ kind: "refuse" }), ours("closed"));
});
