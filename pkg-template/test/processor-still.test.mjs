// Processors whose process stands still (a blocked thread, a frozen page, a machine that slept) while others take what they had.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours } from "./facade-support.mjs";
import { checkpoints, EventProcessor, group, stubborn } from "./processor-support.mjs";
import { eventually } from "./support.mjs";

/** Nothing expires meanwhile: others take from who lives, too. */
const LONG = { ownershipExpirationMs: 60_000 };
/** What nobody takes for a busy machine. */
const STILL_MS = 1200;

/** The whole thread stands still. */
function standStill() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STILL_MS);
}

/** Somebody takes the partition, reads to its end, and says so. */
async function steal(store, { namespace, eventHub, consumerGroup }, last) {
  const [record] = await store.inner.listOwnership(namespace, eventHub, consumerGroup);
  assert.equal((await store.inner.claimOwnership([{ ...record, ownerId: "somebody" }])).length, 1);
  const place = { fullyQualifiedNamespace: namespace, eventHubName: eventHub, consumerGroup, partitionId: record.partitionId };
  await store.inner.updateCheckpoint({ ...place, sequenceNumber: last, offset: `${last}` });
}

/** A store that answers nothing about ownerships until it is opened. */
function door() {
  const store = stubborn();
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  store.shut = () => {
    store.instead.listOwnership = async (...given) => (await opened, store.inner.listOwnership(...given));
  };
  store.open = () => {
    delete store.instead.listOwnership;
    open();
  };
  return store;
}

test("who stood still hands out nothing of what was taken meanwhile, and writes no checkpoint over another's", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  await send("0", "a", "b", "c");
  let refusal;
  const one = member(store, { ...LONG, maxBatch: 1 }, {
    then: async (events, partition, { consumer }) => {
      await steal(store, consumer, 2);
      standStill();
      refusal = await partition.checkpoint(events[0]).catch((error) => error);
    },
  });
  await eventually(() => one.closed.length === 1, "its end");
  assert.deepEqual([one.seen, one.closed], [{ 0: ["a"] }, [["0", "ownership-lost"]]]);
  assert.ok(ours("ownership-lost")(refusal));
  assert.deepEqual(await checkpoints(store, one.consumer), { 0: 2 }, "the group was put back");
});

test("a machine that slept is noticed by the calendar: nothing is handed out before the store has answered, and then all of it", async (t) => {
  const { member, send } = await group(t, 1);
  const store = door();
  let checkpointed = false;
  let slept = 0;
  const calendar = Date.now;
  t.mock.method(Date, "now", () => calendar() + slept);
  await send("0", "a", "b", "c");
  const one = member(store, { ...LONG, maxBatch: 1 }, {
    then: (events, partition) => {
      if (slept > 0) return;
      store.shut();
      slept = 60_000;
      void partition.checkpoint(events[0]).then(() => (checkpointed = true));
    },
  });
  const listings = () => store.calls.listOwnership;
  await eventually(() => slept > 0, "the first event");
  const before = listings();
  await eventually(() => listings() > before, "a question to the store");
  assert.deepEqual([one.seen, checkpointed], [{ 0: ["a"] }, false]);
  store.open();
  await eventually(() => one.count() === 3, "the rest");
  await eventually(() => checkpointed, "the checkpoint");
  assert.deepEqual([one.seen, one.closed, one.errors], [{ 0: ["a", "b", "c"] }, [], []]);
});

test("who asks for events itself gets none of a batch that lay ready when the process stood still and the partition was taken", async (t) => {
  const { consumer, send } = await group(t, 1);
  const store = stubborn();
  await send("0", "a", "b", "c");
  const processor = new EventProcessor(consumer(), store, { ...LONG, loadBalancingIntervalMs: 100, from: "earliest" });
  t.after(() => processor.stop());
  const seen = [];
  for await (const partition of processor.partitions({ error: () => undefined })) {
    for await (const event of partition) {
      seen.push(event.text());
      if (seen.length > 1) continue;
      await steal(store, consumer(), 2);
      standStill();
    }
    assert.equal(await partition.closed, "ownership-lost");
    break;
  }
  assert.deepEqual(seen, ["a"]);
});

test("a processor that stands still while it stops writes its last checkpoint all the same", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  await send("0", "a");
  const one = member(store, { ...LONG, autoCheckpoint: { onClose: true } }, {
    then: (_, __, { processor }) => {
      void processor.stop();
      standStill();
    },
  });
  await one.running;
  assert.deepEqual([one.closed, await checkpoints(store, one.consumer)], [[["0", "shutdown"]], { 0: 0 }]);
});

test("going back on purpose is no being late: the first checkpoint from elsewhere looks what is there", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  await send("0", "a", "b");
  let context;
  const one = member(store, { ...LONG, autoCheckpoint: { everyEvents: 1 } }, { initialize: (partition) => void (context = partition) });
  await eventually(async () => (await checkpoints(store, one.consumer))[0] === 1, "both");
  const before = store.calls.listCheckpoints;
  context.seek("earliest");
  await eventually(() => one.count() === 4, "both again");
  await eventually(() => store.calls.listCheckpoints === before + 1, "a look");
  assert.deepEqual(one.errors, []);
});
