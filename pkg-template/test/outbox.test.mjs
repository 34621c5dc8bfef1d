// The outbox in a directory, against an emulator in this process.

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { ours, start } from "./facade-support.mjs";
import { dist, eventually } from "./support.mjs";

const { Outbox } = await dist("outbox.js");
const { partitionOf } = await dist("outbox/key-hash.js");

async function house(t, options) {
  const directory = await mkdtemp(join(tmpdir(), "eventhubs-outbox-"));
  const open = [];
  const service = await start(t, { hubs: { eh1: 3 }, ...options });
  t.after(async () => {
    for (const outbox of open) await outbox.close();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    ...service,
    directory,
    outbox: async (more, producer = service.producer({ idempotent: true })) => {
      const outbox = await Outbox.open(producer, { directory, ...more });
      open.push(outbox);
      return outbox;
    },
    /** What is stored, partition by partition. */
    stored: async () => {
      const consumer = service.consumer();
      const found = [];
      for (const partitionId of await consumer.partitionIds()) {
        const { lastEnqueuedSequenceNumber: last } = await consumer.partitionProperties(partitionId);
        if (last < 0) continue;
        for await (const event of consumer.receive(partitionId, { from: "earliest" })) {
          found.push({ partitionId, key: event.partitionKey, text: event.text() });
          if (event.sequenceNumber >= last) break;
        }
      }
      return found;
    },
  };
}

const texts = (events) => events.map(({ text }) => text);

test("keys go where the service would put them", () => {
  // protocol.md 9.2
  const vectors = [
    ["", 0, 0, 0], ["7", 2, 3, 31], ["a", 2, 0, 28], ["$0cb", 1, 1, 29], ["FWfAT", 0, 1, 5], ["device-1", 1, 0, 4], ["device-2", 1, 2, 14],
    ["abcdefghijkl", 0, 1, 5], ["abcdefghijklm", 1, 3, 15], ["partition-key", 1, 1, 5], ["7149583486996073602", 2, 1, 17],
    ["0123456789abcdefghijklmn", 1, 1, 17], ["héllo", 1, 1, 17], ["日本語", 1, 1, 25],
    ["FAyAIctPeCgmiwLKbJcyswoHglHVjQdvtBowLACDNORsYvOcLddNJYDmhAVkbyLOrHTKLneMNcbgWVlasVywOByANjs", 0, 2, 10],
  ];
  for (const [key, ...expected] of vectors) assert.deepEqual([3, 4, 32].map((count) => partitionOf(key, count)), expected, key);
});

test("what is enqueued without a service waits, and is sent when there is one, once and in order", async (t) => {
  const { emulator, outbox: open, stored } = await house(t);
  const refuse = emulator.faults.inject({ kind: "refuse" });
  const outbox = await open();
  for (let n = 0; n < 20; n += 1) await outbox.enqueue({ body: `${n}`, partitionKey: "device-7", properties: { n } });
  await eventually(async () => (await outbox.state()).lastError, "the failure");
  const state = await outbox.state();
  assert.deepEqual([state.waitingEvents, state.sent, state.isSending], [20, 0, true]);
  await assert.rejects(outbox.flush({ timeoutMs: 30 }), ours("timeout", /20 events still wait/));
  refuse.end();
  emulator.faults.inject({ kind: "lose-ack", then: "drop", times: 2 });
  await outbox.flush();
  const after = await outbox.state();
  assert.deepEqual([after.waitingEvents, after.waitingBytes, after.sent, after.lastError], [0, 0, 20, undefined]);
  const found = await stored();
  assert.deepEqual(texts(found), Array.from({ length: 20 }, (_, n) => `${n}`));
  assert.ok(found.every(({ key }) => key === "device-7"));
});

test("what waited when it was closed is sent when it is opened again", async (t) => {
  const { emulator, outbox: open, stored, directory } = await house(t);
  const refuse = emulator.faults.inject({ kind: "refuse" });
  const first = await open();
  await first.enqueueAll(["a", "b"], { partitionId: "1" });
  await assert.rejects(open(), ours("invalid-argument", new RegExp(`in use by process ${process.pid}`)));
  await first.close();
  await assert.rejects(first.enqueue("late"), ours("closed"));
  refuse.end();
  // What an interrupted write leaves.
  const journal = join(directory, "journal");
  const whole = await readFile(journal);
  await writeFile(journal, Buffer.concat([whole, whole.subarray(0, 17)]));
  const second = await open();
  await second.enqueue("c", { partitionId: "1" });
  await second.flush();
  await second.close();
  assert.equal((await (await open()).state()).waitingEvents, 0);
  assert.deepEqual(texts(await stored()), ["a", "b", "c"]);
});

test("a lock whose process is gone is nobody's", async (t) => {
  const { outbox: open, directory } = await house(t);
  await writeFile(join(directory, "lock"), "999999999");
  await (await open()).close();
  // In a container every process has the same number.
  await writeFile(join(directory, "lock"), `${process.pid}`);
  await (await open()).close();
});

test("damage in the middle costs what it hit, and is put aside", async (t) => {
  const { emulator, outbox: open, directory, stored } = await house(t);
  const refuse = emulator.faults.inject({ kind: "refuse" });
  const outbox = await open();
  for (const text of ["a", "b", "c"]) await outbox.enqueue(text, { partitionId: "0" });
  await outbox.close();
  const journal = join(directory, "journal");
  const bytes = await readFile(journal);
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  await writeFile(journal, bytes);
  refuse.end();
  const again = await open();
  await again.flush();
  assert.deepEqual(texts(await stored()), ["a", "c"]);
  assert.equal((await readdir(directory)).filter((name) => name.startsWith("damaged-")).length, 1);
});

test("a directory that is put back from a copy loses nothing that is new", async (t) => {
  const { outbox: open, directory, stored } = await house(t);
  let copy;
  for (const text of ["a", "b", "c"]) {
    const outbox = await open();
    await outbox.enqueue(text, { partitionId: "0" });
    await outbox.flush();
    await outbox.close();
    copy ??= await readFile(join(directory, "journal"));
  }
  await writeFile(join(directory, "journal"), copy);
  const outbox = await open();
  await outbox.enqueue("d", { partitionId: "0" });
  await outbox.flush();
  assert.deepEqual(texts(await stored()), ["a", "b", "c", "d"]);
});

test("an event that is refused though it is stored takes none that is new with it", async (t) => {
  const { emulator, outbox: open, stored } = await house(t);
  const outbox = await open();
  // Stored, and nobody is told; sent again, and refused. One fault strikes at a time, the oldest first.
  const lost = emulator.faults.inject({ kind: "lose-ack", then: "drop", entity: "eh1", times: 1 });
  const refused = emulator.faults.inject({ kind: "detach", condition: "amqp:decode-error", on: "send", entity: "eh1", times: 1 });
  await outbox.enqueue("a", { partitionId: "0" });
  await outbox.flush();
  assert.deepEqual([lost.end(), refused.end(), (await outbox.state()).deadLetters], [1, 1, 1]);
  await outbox.enqueue("b", { partitionId: "0" });
  await outbox.flush();
  assert.deepEqual(texts(await stored()), ["a", "b"]);
});

test("an event for a partition that the hub got later is stored there", async (t) => {
  const { emulator, outbox: open, stored } = await house(t);
  const outbox = await open();
  await outbox.enqueue("before", { partitionId: "0" });
  await outbox.flush();
  emulator.deleteHub("eh1");
  emulator.createHub("eh1", 5);
  await outbox.enqueue("to the new one", { partitionId: "4" });
  await outbox.enqueue("nowhere", { partitionId: "77" });
  await outbox.flush();
  assert.deepEqual((await stored()).map(({ partitionId, text }) => [partitionId, text]), [["4", "to the new one"]]);
  assert.deepEqual((await outbox.deadLetters()).map(({ partitionId }) => partitionId), ["77"]);
});

test("what a directory names outlives a power cut", async (t) => {
  const { outbox: open, directory } = await house(t);
  const files = process.getBuiltinModule("node:fs/promises");
  const own = files.open;
  const done = [];
  t.after(() => (files.open = own));
  files.open = async (path, flags) => {
    const file = await own(path, flags);
    if (path === join(directory, "journal") && flags === "a") done.push("made");
    if (path === directory) {
      const sync = file.sync.bind(file);
      file.sync = () => sync().then(() => void done.push("synchronised"));
    }
    return file;
  };
  await open();
  assert.deepEqual(done, ["made", "synchronised"]);
});

test("an event that can never be sent is told, and holds nobody up", async (t) => {
  const { outbox: open, stored } = await house(t);
  const outbox = await open();
  const partitionKey = "k";
  await outbox.enqueueAll([{ body: "first", partitionKey }, { body: "x".repeat(2 << 20), partitionKey }, { body: "last", partitionKey }]);
  await outbox.enqueue("nowhere", { partitionId: "77" });
  await outbox.flush();
  assert.deepEqual(texts(await stored()), ["first", "last"]);
  const letters = (await outbox.deadLetters()).sort((a, b) => a.id - b.id);
  assert.deepEqual(letters.map(({ code }) => code), ["message-too-large", "invalid-argument"]);
  assert.match(letters[1].reason, /no partition '77'/);
  assert.equal(new TextDecoder().decode(letters[1].event.body), "nowhere");
  await outbox.removeDeadLetters([letters[0].id]);
  await outbox.close();
  assert.deepEqual((await (await open()).deadLetters()).map(({ id }) => id), [letters[1].id]);
});

test("a full outbox refuses, or lets wait", async (t) => {
  const { emulator, outbox: open, stored } = await house(t);
  const refuse = emulator.faults.inject({ kind: "refuse" });
  const strict = await open({ maxEvents: 3, whenFull: "refuse" });
  await strict.enqueueAll(["a", "b"]);
  await assert.rejects(strict.enqueueAll(["c", "d"]), ours("quota-exceeded", /full: 2 events/));
  await strict.enqueue("c");
  await assert.rejects(strict.enqueueAll(["1", "2", "3", "4"]), ours("invalid-argument"));
  await strict.close();
  const patient = await open({ maxEvents: 3 });
  const waiting = ["d", "e", "f", "g", "h"].map((text) => patient.enqueue(text));
  refuse.end();
  await Promise.all(waiting);
  await patient.flush();
  assert.equal((await stored()).length, 8);
});

test("options and events are checked when they are given", async (t) => {
  const { outbox: open, producer } = await house(t);
  await assert.rejects(Outbox.open("text"), ours("invalid-argument", /a ProducerClient/));
  await assert.rejects(Outbox.open(producer(), { maxEvent: 1 }), ours("invalid-argument", /did you mean 'maxEvents'/));
  await assert.rejects(Outbox.open(producer()), ours("invalid-argument", /'directory'/));
  const outbox = await open();
  await assert.rejects(outbox.enqueue({ body: "x", partitionKey: "k" }, { partitionId: "0" }), ours("invalid-argument", /leave one out/));
  await assert.rejects(outbox.enqueue({ body: "x", properties: { f: () => 1 } }), ours("invalid-argument", /cannot be kept/));
});
