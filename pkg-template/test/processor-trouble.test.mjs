// Processors whose store, handlers or clients misbehave: the hook is told, nothing is lost, the rest goes on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ours } from "./facade-support.mjs";
import { checkpoints, EventProcessor, group, MemoryCheckpointStore, QUICK, stubborn } from "./processor-support.mjs";
import { dist, eventually } from "./support.mjs";

const { EventHubsError } = await dist("index.js");

const down = async () => {
  throw new Error("the disk is gone");
};
const silent = () => new Promise(() => {});

for (const [what, method, operation] of [
  ["owns what", "listOwnership", "list-ownership"],
  ["claims", "claimOwnership", "claim-ownership"],
  ["was read", "listCheckpoints", "read-checkpoint"],
]) {
  for (const [how, instead, code, words] of [
    ["fails", down, "internal", /checkpoint store failed: the disk is gone/],
    ["is silent", silent, "timeout", /did not answer within 50 ms/],
    ["answers with nothing", async () => undefined, "protocol", /no list/],
    ["answers with something else", async () => [{ a: 1 }], "protocol", /something else in it/],
  ]) {
    test(`a store that ${how} when asked who ${what}: an error to the hook, and nothing is read from a wrong place`, async (t) => {
      const { member, send, ids } = await group(t, 2);
      for (const id of ids) await send(id, "done", "next");
      const store = stubborn();
      const first = member(store, { strategy: "greedy", autoCheckpoint: { onClose: true } }, {
        then: (events, partition) => (events.length > 0 ? partition.checkpoint(events[0]) : undefined),
      });
      await eventually(() => first.count() === 4, "all");
      await first.processor.stop();
      for (const id of ids) await store.inner.updateCheckpoint({ fullyQualifiedNamespace: first.consumer.namespace, eventHubName: "eh1", consumerGroup: "$Default", partitionId: id, sequenceNumber: 0, offset: "" });
      store.instead[method] = instead;
      const one = member(store, { strategy: "greedy", storeTimeoutMs: 50 });
      const { error, partitionId } = await one.failed(operation);
      ours(code, words)(error);
      assert.equal(partitionId, undefined);
      assert.equal(error.retryable, true);
      assert.equal(one.count(), 0);
      delete store.instead[method];
      await eventually(() => one.count() === 2, "what is behind the checkpoints");
      assert.deepEqual(one.seen, { 0: ["next"], 1: ["next"] });
    });
  }
}

test("a checkpoint that cannot be understood stops its partition alone, until it is repaired", async (t) => {
  const { member, send, ids } = await group(t, 3);
  for (const id of ids) await send(id, "x");
  const store = stubborn();
  const corrupt = new EventHubsError("protocol", "the blob of partition 1 cannot be understood");
  store.instead.listCheckpoints = async (namespace, hub, name, { failures }) => {
    failures.push({ partitionId: "1", error: corrupt });
    return store.inner.listCheckpoints(namespace, hub, name);
  };
  const one = member(store, { strategy: "greedy" });
  assert.deepEqual(await one.failed("read-checkpoint"), { error: corrupt, operation: "read-checkpoint", partitionId: "1" });
  await eventually(() => one.count() === 2, "the others");
  assert.deepEqual(one.owned, ["0", "2"]);
  delete store.instead.listCheckpoints;
  await eventually(() => one.count() === 3, "the repaired one");
});

test("an ownership that cannot be understood is told once, and claimed by its version", async (t) => {
  const { member, consumer } = await group(t, 2);
  const store = stubborn();
  const { namespace, eventHub, consumerGroup } = consumer();
  const place = { fullyQualifiedNamespace: namespace, eventHubName: eventHub, consumerGroup, partitionId: "0" };
  const [garbage] = await store.inner.claimOwnership([{ ...place, ownerId: "garbage" }]);
  store.instead.listOwnership = async (...given) =>
    (await store.inner.listOwnership(...given)).filter((record) => {
      if (record.ownerId === "garbage") given[3].failures.push({ partitionId: "0", etag: garbage.etag, error: new EventHubsError("protocol", "no owner") });
      return record.ownerId !== "garbage";
    });
  const one = member(store, { strategy: "greedy", loadBalancingIntervalMs: 20 });
  await eventually(() => one.owned.length === 2, "both");
  await eventually(() => store.calls.listOwnership > 5, "later cycles");
  assert.deepEqual(one.errors.map(({ operation, partitionId }) => [operation, partitionId]), [["list-ownership", "0"]]);
});

test("a store that is down does not stop what is read, until nobody can know whose it is", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  const one = member(store, { loadBalancingIntervalMs: 50, ownershipExpirationMs: 400, autoCheckpoint: { everyEvents: 1 } });
  await send("0", "a");
  await eventually(() => one.count() === 1, "the first");
  const since = performance.now();
  store.instead.listOwnership = down;
  await send("0", "b");
  await eventually(() => one.count() === 2, "what comes soon");
  assert.ok(performance.now() - since < 400);
  await eventually(() => one.closed.length === 1, "its end");
  assert.deepEqual(one.closed, [["0", "ownership-expired"]]);
  await send("0", "c");
  assert.equal(one.count(), 2, "it may be another's by now");
  delete store.instead.listOwnership;
  await eventually(() => one.count() === 3, "the rest");
  assert.deepEqual(one.seen[0], ["a", "b", "c"]);
  assert.deepEqual(one.opened, ["0", "0"]);
});

test("a checkpoint that cannot be written is written later, and holds back what goes too far", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  store.instead.updateCheckpoint = down;
  const one = member(store, { maxBatch: 1, autoCheckpoint: { everyEvents: 2 } });
  for (let n = 0; n < 20; n++) await send("0", `${n}`);
  const { error, partitionId } = await one.failed("write-checkpoint");
  ours("internal", /cannot write a checkpoint of .*: the checkpoint store failed: the disk is gone/)(error);
  assert.equal(partitionId, "0");
  await eventually(() => store.calls.updateCheckpoint >= 2, "another attempt");
  assert.ok(one.count() <= 4, `${one.count()} events without a checkpoint`);
  delete store.instead.updateCheckpoint;
  await eventually(() => one.count() === 20, "everything");
  // The last event alone is not due.
  await eventually(async () => (await checkpoints(store, one.consumer))[0] >= 18, "the last checkpoint");
  assert.deepEqual(one.seen[0], Array.from({ length: 20 }, (_, n) => `${n}`));
});

test("a slow store gets one checkpoint at a time, and each goes forward", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  const written = [];
  let atOnce = 0;
  store.instead.updateCheckpoint = async (checkpoint) => {
    assert.equal(++atOnce, 1, "one at a time");
    await new Promise((resolve) => setTimeout(resolve, 5));
    written.push(checkpoint.sequenceNumber);
    atOnce -= 1;
  };
  const one = member(store, { maxBatch: 1, autoCheckpoint: { everyEvents: 1, onClose: true } });
  for (let n = 0; n < 30; n++) await send("0", `${n}`);
  await eventually(() => one.count() === 30, "everything");
  await one.processor.stop();
  assert.equal(written.at(-1), 29);
  assert.deepEqual(written, [...new Set(written)].sort((a, b) => a - b));
  assert.deepEqual(one.errors, []);
});

test("a handler that fails gets the same events again", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a", "b");
  const store = new MemoryCheckpointStore();
  let failures = 0;
  const one = member(store, { autoCheckpoint: { everyEvents: 1 } }, {
    process: () => {
      if (++failures <= 2) throw new Error(`oops ${failures}`);
    },
  });
  await eventually(() => one.count() === 2, "both");
  assert.deepEqual(one.errors.map(({ error, operation, partitionId }) => [error.message, operation, partitionId]), [
    ["oops 1", "process", "0"],
    ["oops 2", "process", "0"],
  ]);
  assert.deepEqual(one.seen[0], ["a", "b"]);
});

test("a handler that fails for ever keeps its checkpoint where it is, and its partition alone waits", async (t) => {
  const { member, send } = await group(t, 2);
  const store = new MemoryCheckpointStore();
  const one = member(store, { strategy: "greedy", autoCheckpoint: { everyEvents: 1, onClose: true } }, {
    process: (_, { partitionId }) => {
      if (partitionId === "0") throw new Error("never");
    },
  });
  await send("0", "poison");
  await send("1", "fine");
  await one.failed("process");
  await eventually(() => one.count("1") === 1, "the other");
  await one.processor.stop();
  assert.deepEqual(await checkpoints(store, one.consumer), { 1: 0 });
});

test("what failed may be skipped, or given up", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a");
  const process = (events) => {
    if (events[0].text() === "a") throw new Error("not this one");
  };
  const skipping = member(new MemoryCheckpointStore(), { maxBatch: 1, onHandlerFailure: "go-on" }, { process });
  await skipping.failed("process");
  await send("0", "b");
  await eventually(() => skipping.count() === 1, "the next");
  await skipping.processor.stop();
  const releasing = member(new MemoryCheckpointStore(), { maxBatch: 1, onHandlerFailure: "give-up" }, { process });
  await eventually(() => releasing.closed.length >= 2, "given up, and tried again");
  assert.deepEqual(releasing.closed[0], ["0", "failed"]);
});

test("initialize that fails is tried again, and close that fails is told", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a");
  let tries = 0;
  const one = member(new MemoryCheckpointStore(), { loadBalancingIntervalMs: 20 }, {
    initialize: () => {
      if (++tries < 3) throw new Error("not yet");
    },
    close: () => {
      throw new Error("cannot close");
    },
  });
  await eventually(() => one.count() === 1, "the event");
  assert.equal(one.errors.filter(({ operation }) => operation === "initialize").length, 2);
  await one.processor.stop();
  assert.ok(one.errors.some(({ operation, error }) => operation === "close" && error.message === "cannot close"));
});

test("a partition that one member cannot read is left to another", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a");
  const store = new MemoryCheckpointStore();
  const unable = member(store, {}, {
    initialize: () => {
      throw new Error("not here");
    },
  });
  await unable.failed("initialize");
  await eventually(() => unable.closed.length > 0, "its end");
  const able = member(store, { loadBalancingIntervalMs: 30 });
  await eventually(() => able.count() === 1, "the event, elsewhere");
  assert.equal(unable.count(), 0);
});

test("an error hook that fails ends nothing, and is told to the console", async (t) => {
  const { member, send } = await group(t, 1);
  const said = t.mock.method(console, "error", () => {});
  await send("0", "a", "b");
  let failures = 0;
  const one = member(new MemoryCheckpointStore(), {}, {
    process: () => {
      if (++failures === 1) throw new Error("once");
    },
    error: () => {
      throw new Error("the hook");
    },
  });
  await eventually(() => one.count() === 2, "both");
  assert.equal(said.mock.callCount(), 1);
});

test("a partition that somebody else takes is closed, and its checkpoint is theirs", async (t) => {
  const { member, send } = await group(t, 1);
  const store = stubborn();
  let partition;
  const one = member(store, { autoCheckpoint: { onClose: true } }, { initialize: (given) => void (partition = given) });
  await send("0", "a");
  await eventually(() => one.count() === 1, "the event");
  const { namespace, eventHub, consumerGroup } = one.consumer;
  const [record] = await store.inner.listOwnership(namespace, eventHub, consumerGroup);
  await store.inner.claimOwnership([{ ...record, ownerId: "somebody" }]);
  await eventually(() => one.closed.length === 1, "its end");
  assert.deepEqual(one.closed, [["0", "ownership-lost"]]);
  assert.equal(partition.signal.aborted, true);
  assert.deepEqual(await checkpoints(store, one.consumer), {}, "no checkpoint is written for another");
  await assert.rejects(partition.checkpoint({ partitionId: "0", sequenceNumber: 0, offset: "0" }), ours("ownership-lost"));
  // Who took it never renews: it is dead after the expiry, and its share is taken back.
  await eventually(() => one.opened.length === 2, "the partition again");
});

test("a member that dies without a word is followed after the expiry, and not before", async (t) => {
  const { member, consumer } = await group(t, 2);
  const store = stubborn();
  const { namespace, eventHub, consumerGroup } = consumer();
  const place = { fullyQualifiedNamespace: namespace, eventHubName: eventHub, consumerGroup };
  await store.inner.claimOwnership(["0", "1"].map((partitionId) => ({ ...place, partitionId, ownerId: "dead" })));
  const since = performance.now();
  const one = member(store, { strategy: "greedy", loadBalancingIntervalMs: 50, ownershipExpirationMs: 500 });
  await eventually(() => one.owned.length === 1, "its share, at once");
  assert.ok(performance.now() - since < 500);
  await eventually(() => one.owned.length === 2, "all of it");
  assert.ok(performance.now() - since >= 490, "the dead one was given its time");
});

test("a consumer that is closed underneath ends the processor, with an error", async (t) => {
  const { member } = await group(t, 1);
  const one = member(new MemoryCheckpointStore(), { loadBalancingIntervalMs: 20 });
  await eventually(() => one.owned.length === 1, "its partition");
  await one.consumer.close();
  await assert.rejects(one.running, ours("closed"));
  assert.ok(one.errors.some(({ error }) => error.code === "closed"));
});

test("a start for a partition that the hub does not have is told, once", async (t) => {
  const { member, send } = await group(t, 2);
  await send("0", "x");
  const one = member(new MemoryCheckpointStore(), { strategy: "greedy", loadBalancingIntervalMs: 20, from: { 0: "earliest", 7: "latest" } });
  await eventually(() => one.count() === 1, "what there is");
  ours("invalid-argument", /partition '7', which the hub 'eh1' does not have: it has 0, 1/)(one.errors[0].error);
  assert.deepEqual([one.errors.length, one.errors[0].partitionId], [1, "7"]);
});

test("a partition whose start is refused is told and tried again, and the others go on", async (t) => {
  const { member, send } = await group(t, 2);
  await send("1", "fine");
  const one = member(new MemoryCheckpointStore(), { strategy: "greedy", from: { 0: { offset: "no offset" }, 1: "earliest" } });
  const { error, partitionId } = await one.failed("receive");
  assert.equal(partitionId, "0");
  assert.ok(error instanceof EventHubsError);
  await eventually(() => one.count("1") === 1, "the other");
  await eventually(() => one.closed.some(([id, reason]) => id === "0" && reason === "failed"), "its end");
});

test("closing waits for handlers, remembers what they did, and does not wait for ever", async (t) => {
  const { member, send } = await group(t, 1);
  await send("0", "a");
  const store = new MemoryCheckpointStore();
  let finish;
  const one = member(store, { autoCheckpoint: { onClose: true } }, { process: () => new Promise((resolve) => (finish = resolve)) });
  await eventually(() => finish, "the handler");
  const closing = one.processor.stop();
  finish();
  await closing;
  assert.deepEqual(await checkpoints(store, one.consumer), { 0: 0 });
  assert.deepEqual(one.errors, [], "it was waited for, and not in vain");

  await send("0", "b");
  const stuck = member(store, { closeTimeoutMs: 50 }, { process: (_, __, { processor }) => processor.stop() });
  await eventually(() => stuck.closed.length === 1, "its end");
  const { error } = await stuck.failed("close");
  ours("timeout", /waits for the processor to close|may wait for the processor/)(error);
});

test("a lost connection loses nothing", async (t) => {
  const { member, send, sockets } = await group(t, 2);
  const one = member(new MemoryCheckpointStore(), { strategy: "greedy" });
  for (let round = 0; round < 3; round++) {
    for (const id of ["0", "1"]) await send(id, `${round}`);
    await eventually(() => one.count() === 2 * (round + 1), `round ${round}`);
    for (const socket of sockets.splice(0)) socket.close();
  }
  assert.deepEqual(one.seen, { 0: ["0", "1", "2"], 1: ["0", "1", "2"] });
});

test("a reader gives its partition up to others, and leaves it alone for a while", async (t) => {
  const { consumer, member } = await group(t, 1);
  const store = new MemoryCheckpointStore();
  const processor = new EventProcessor(consumer(), store, QUICK);
  const reading = (async () => {
    for await (const partition of processor.partitions({ error: (error) => assert.fail(error) })) {
      await partition.close();
      await assert.rejects(partition.nextBatch(), ours("closed"));
      return partition.closed;
    }
  })();
  assert.equal(await reading, "given-up");
  const other = member(store);
  await eventually(() => other.owned.length === 1, "the other");
});
