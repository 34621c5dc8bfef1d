// Processors that share a hub's partitions, against the emulator in this process.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours } from "./facade-support.mjs";
import { checkpoints, EventProcessor, group, MemoryCheckpointStore, QUICK } from "./processor-support.mjs";
import { dist, eventually } from "./support.mjs";

const { json } = await dist("index.js");

test("one processor reads everything, in order, and remembers how far", async (t) => {
  const { send, member, ids } = await group(t);
  for (const id of ids) await send(id, `${id}a`, `${id}b`, `${id}c`);
  const store = new MemoryCheckpointStore();
  const one = member(store, { strategy: "greedy", autoCheckpoint: { onClose: true } });
  await eventually(() => one.count() === 12, "all events");
  for (const id of ids) assert.deepEqual(one.seen[id], [`${id}a`, `${id}b`, `${id}c`]);
  assert.deepEqual(await checkpoints(store, one.consumer), {}, "nothing was asked for yet");
  await one.processor.stop();
  await one.running;
  assert.deepEqual(await checkpoints(store, one.consumer), { 0: 2, 1: 2, 2: 2, 3: 2 });
  assert.deepEqual(one.closed.map(([, reason]) => reason), ["shutdown", "shutdown", "shutdown", "shutdown"]);
  assert.deepEqual(one.errors, []);
  const { namespace, eventHub, consumerGroup } = one.consumer;
  const owners = await store.listOwnership(namespace, eventHub, consumerGroup);
  assert.deepEqual(owners.map(({ ownerId }) => ownerId), ["", "", "", ""], "what was owned is given up");

  await send("2", "2d");
  const next = member(store, { strategy: "greedy" });
  await eventually(() => next.count() === 1, "the event behind the checkpoint");
  assert.deepEqual(next.seen, { 2: ["2d"] });
});

for (const strategy of ["balanced", "greedy"]) {
  test(`three ${strategy} processors share eight partitions, and two what the third leaves`, async (t) => {
    const { member, ids, send } = await group(t, 8);
    const store = new MemoryCheckpointStore();
    const members = [1, 2, 3].map(() => member(store, { strategy, autoCheckpoint: { everyEvents: 1, onClose: true } }));
    const shares = () => members.map(({ owned }) => owned.length).sort();
    const isWhole = () => members.flatMap(({ owned }) => owned).sort().join() === ids.join();
    await eventually(() => isWhole() && shares().join() === "2,3,3", "fair shares");
    await Promise.all(ids.map((id) => send(id, "x")));
    await eventually(() => members.reduce((sum, one) => sum + one.count(), 0) === 8, "every event once");
    const [first] = members.splice(0, 1);
    await first.processor.stop();
    await eventually(() => isWhole() && shares().join() === "4,4", "the rest shared");
    await Promise.all(ids.map((id) => send(id, "y")));
    await eventually(() => members.reduce((sum, one) => sum + one.count(), 0) >= 16 - first.count(), "every later event");
    const texts = [first, ...members].flatMap(({ seen }) => Object.values(seen).flat());
    assert.deepEqual([texts.filter((text) => text === "x").length, texts.filter((text) => text === "y").length], [8, 8]);
    for (const one of [first, ...members]) assert.deepEqual(one.errors, []);
  });
}

test("a member that is capped leaves the rest, and one without a bound takes what nobody wants", async (t) => {
  const { member, ids } = await group(t, 4);
  const store = new MemoryCheckpointStore();
  const how = { ownershipExpirationMs: 300 };
  const capped = member(store, { ...how, maxPartitions: 1 });
  const free = member(store, how);
  await eventually(() => capped.owned.length === 1 && free.owned.length === 3, "one and three");
  assert.deepEqual([...capped.owned, ...free.owned].sort(), ids);
});

test("partitions that are asked for: events, checkpoints by asking on, and the end of the loop", async (t) => {
  const { consumer, send } = await group(t, 2);
  await send("0", "a", "b", "c");
  await send("1", "d");
  const store = new MemoryCheckpointStore();
  const reader = consumer();
  const processor = new EventProcessor(reader, store, { ...QUICK, strategy: "greedy", autoCheckpoint: { everyEvents: 1 } });
  const seen = [];
  const reasons = [];
  const loops = [];
  for await (const partition of processor.partitions({ error: (error) => assert.fail(error) })) {
    loops.push(
      (async () => {
        for await (const event of partition) seen.push(event.text());
        reasons.push(await partition.closed);
      })(),
    );
    if (loops.length === 2) break;
    if (loops.length === 1) await eventually(() => seen.length > 0, "events of the first partition");
  }
  await Promise.all(loops);
  assert.deepEqual(reasons, ["shutdown", "shutdown"]);
  assert.ok(seen.length > 0);
  assert.deepEqual(processor.partitionIds, []);
});

test("leaving a loop in the middle of a batch loses nothing of it", async (t) => {
  const { consumer, send } = await group(t, 1);
  await send("0", "a", "b", "c", "d");
  const processor = new EventProcessor(consumer(), new MemoryCheckpointStore(), QUICK);
  const seen = [];
  for await (const partition of processor.partitions({ error: (error) => assert.fail(error) })) {
    for await (const event of partition) {
      seen.push(event.text());
      if (seen.length === 2) break;
    }
    const [third] = await partition.nextBatch({ maxCount: 1 });
    seen.push(third.text());
    for await (const batch of partition.batches()) {
      seen.push(...batch.map((event) => event.text()));
      break;
    }
    break;
  }
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
});

test("where to start: for each partition, by initialize, and never against a checkpoint", async (t) => {
  const { member, send, ids } = await group(t, 3);
  for (const id of ids) await send(id, "old", "new");
  const store = new MemoryCheckpointStore();
  const from = { 0: "earliest", 1: { sequenceNumber: 0 } };
  const initialize = ({ partitionId }) => (partitionId === "2" ? { sequenceNumber: 1, inclusive: true } : undefined);
  const one = member(store, { from, strategy: "greedy", autoCheckpoint: { everyEvents: 1 } }, { initialize });
  await eventually(() => one.count() === 4, "the events behind each start");
  assert.deepEqual(one.seen, { 0: ["old", "new"], 1: ["new"], 2: ["new"] });
  await eventually(async () => Object.keys(await checkpoints(store, one.consumer)).length === 3, "checkpoints");
  await one.processor.stop();
  const again = member(store, { strategy: "greedy" }, { initialize: () => "earliest" });
  await eventually(() => again.owned.length === 3, "all partitions");
  for (const id of ids) await send(id, "newest");
  await eventually(() => again.count() === 3, "the newest");
  assert.deepEqual(again.seen, { 0: ["newest"], 1: ["newest"], 2: ["newest"] });
});

test("a paused partition hands out nothing until it is resumed, and one that seeks goes on there", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a", "b");
  const store = new MemoryCheckpointStore();
  const one = member(store, { autoCheckpoint: { everyEvents: 1 } });
  await eventually(() => one.count() === 2, "two events");
  const partition = one.processor.partition("0");
  partition.pause();
  assert.equal(partition.isPaused, true);
  await send("0", "c");
  await eventually(async () => (await partition.lag()).events === 1, "one event behind");
  assert.equal((await one.processor.lag()).events, 1);
  assert.equal(one.count(), 2, "paused");
  partition.resume();
  await eventually(() => one.count() === 3, "the third");
  await eventually(async () => (await checkpoints(store, one.consumer))[0] === 2, "its checkpoint");
  partition.seek({ sequenceNumber: 1, inclusive: true });
  await eventually(() => one.count() === 5, "the second and third again");
  assert.deepEqual(one.seen[0], ["a", "b", "c", "b", "c"]);
  assert.deepEqual(await one.processor.lag(), { events: 0, partitions: [{ partitionId: "0", events: 0, processed: 2, last: 2 }] });
  assert.throws(() => partition.seek({ offset: "1", sequenceNumber: 1 }), ours("invalid-argument"));
});

test("checkpoints: every so many events, never backwards, never empty, never of another partition", async (t) => {
  const { member, send } = await group(t, 2);
  const store = new MemoryCheckpointStore();
  const one = member(store, { strategy: "greedy", maxBatch: 1, autoCheckpoint: { everyEvents: 2 } });
  await eventually(() => one.owned.length === 2, "both");
  await send("0", "a", "b", "c");
  await eventually(() => one.count() === 3, "three events");
  await eventually(async () => (await checkpoints(store, one.consumer))[0] === 1, "after two");
  const partition = one.processor.partition("0");
  await partition.checkpoint({ partitionId: "0", sequenceNumber: 2, offset: "2" });
  assert.equal((await checkpoints(store, one.consumer))[0], 2);
  await partition.checkpoint({ partitionId: "0", sequenceNumber: 0, offset: "0" });
  assert.equal((await checkpoints(store, one.consumer))[0], 2, "never backwards");
  await assert.rejects(partition.checkpoint({ partitionId: "0" }), ours("invalid-argument", /offset or a sequence number/));
  await assert.rejects(partition.checkpoint({ partitionId: "1", sequenceNumber: 9, offset: "9" }), ours("invalid-argument", /one of its events/));
});

test("a checkpoint is written after a time, without another event", async (t) => {
  const { member, send } = await group(t, 1);
  const store = new MemoryCheckpointStore();
  const one = member(store, { autoCheckpoint: { everyMs: 50 } });
  await send("0", "a");
  await eventually(async () => (await checkpoints(store, one.consumer))[0] === 0, "the checkpoint");
  assert.equal(one.count(), 1);
});

test("typed bodies, and one that does not decode is an event with its error", async (t) => {
  const { consumer, sender } = await group(t, 1);
  await sender.send([{ body: '{"n":1}' }, { body: "{oops" }, { body: '{"n":3}' }], { partitionId: "0" });
  const processor = new EventProcessor(consumer(), new MemoryCheckpointStore(), { ...QUICK, codec: json() });
  const seen = [];
  void processor.run({
    process: (events) => void seen.push(...events),
    error: (error) => assert.fail(error),
  });
  await eventually(() => seen.length === 3, "three events");
  assert.deepEqual([seen[0].body, seen[2].body], [{ n: 1 }, { n: 3 }]);
  assert.throws(() => seen[1].body);
  assert.equal(seen[1].text(), "{oops");
  await processor.stop();
});

test("what is no processor's is refused at once", async (t) => {
  const { consumer } = await group(t, 1);
  const [reader, store] = [consumer(), new MemoryCheckpointStore()];
  const made = (options, by = store) => () => new EventProcessor(reader, by, options);
  assert.throws(made({ loadBalancingIntervalMs: 1000, ownershipExpirationMs: 1000 }), ours("invalid-argument", /longer than/));
  assert.throws(made({ ownershipExpirationMs: 5000 }), ours("invalid-argument", /longer than/));
  assert.throws(made({ strategy: "quick" }), ours("invalid-argument", /balanced/));
  assert.throws(made({ maxPartition: 1 }), ours("invalid-argument", /maxPartitions/));
  assert.throws(made({ autoCheckpoint: { every: 1 } }), ours("invalid-argument", /everyEvents|everyMs/));
  assert.throws(made({}, { listOwnership() {} }), ours("invalid-argument", /lacks claimOwnership/));
  assert.throws(() => new EventProcessor({}, store), ours("invalid-argument", /ConsumerClient/));
  await assert.rejects(made({})().run({ process() {} }), ours("invalid-argument", /'error'/));
  await assert.rejects(made({})().run({ error() {} }), ours("invalid-argument", /'process'/));
});

test("a processor stops by its signal, and is used once", async (t) => {
  const { consumer } = await group(t, 1);
  const processor = new EventProcessor(consumer(), new MemoryCheckpointStore(), QUICK);
  const controller = new AbortController();
  const handlers = { process() {}, error: (error) => assert.fail(error) };
  const running = processor.run(handlers, { signal: controller.signal });
  await assert.rejects(processor.run(handlers), ours("invalid-argument", /runs already/));
  await eventually(() => processor.partitionIds.length === 1, "its partition");
  controller.abort();
  await running;
  assert.deepEqual(processor.partitionIds, []);
  await assert.rejects(processor.run(handlers), ours("closed"));
  await processor[Symbol.asyncDispose]();
});
