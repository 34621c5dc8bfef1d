// Owner levels, the number of readers, and two processors that share a hub.

import assert from "node:assert/strict";

import { eventually, onEachTransport } from "./support.mjs";

onEachTransport("a higher owner level steals the partition", async (clients) => {
  const producer = clients.producer();
  await producer.sendBatch([{ body: "first" }], { partitionId: "0" });
  const loser = clients.reader(clients.consumer(), { partition: "0", ownerLevel: 1 });
  await loser.take(1);
  const winner = clients.reader(clients.consumer(), { partition: "0", ownerLevel: 2 });
  await winner.take(1);
  const error = await loser.firstError();
  assert.equal(error.code, "ReceiverDisconnectedError");
  assert.equal(error.retryable, false);
  assert.match(error.message, /higher epoch of '2'/);
  await eventually(() => loser.closed.length > 0, "the loser closes its partition");
  await producer.sendBatch([{ body: "second" }], { partitionId: "0" });
  await winner.takeUntil("second");
  assert.ok(!loser.bodies().includes("second"));
  assert.deepEqual(winner.errors, []);
});

onEachTransport("a lower owner level is refused", async (clients) => {
  const producer = clients.producer();
  await producer.sendBatch([{ body: "first" }], { partitionId: "0" });
  const holder = clients.reader(clients.consumer(), { partition: "0", ownerLevel: 5 });
  await holder.take(1);
  const late = clients.reader(clients.consumer(), { partition: "0", ownerLevel: 4 });
  const error = await late.firstError();
  assert.equal(error.code, "ReceiverDisconnectedError");
  assert.match(error.message, /higher epoch '5'/);
  await producer.sendBatch([{ body: "second" }], { partitionId: "0" });
  await holder.takeUntil("second");
  assert.deepEqual(holder.errors, []);
});

onEachTransport("an owner keeps readers without level out and disconnects those there", async (clients) => {
  await clients.producer().sendBatch([{ body: "first" }], { partitionId: "0" });
  const plain = clients.reader(clients.consumer(), { partition: "0" });
  await plain.take(1);
  const owner = clients.reader(clients.consumer(), { partition: "0", ownerLevel: 1 });
  await owner.take(1);
  assert.equal((await plain.firstError()).code, "ReceiverDisconnectedError");
  const late = clients.reader(clients.consumer(), { partition: "0" });
  assert.match((await late.firstError()).message, /non-epoch receiver is not allowed/);
  assert.deepEqual(owner.errors, []);
});

onEachTransport("a sixth reader of a partition is refused", async (clients) => {
  await clients.producer().sendBatch([{ body: "first" }], { partitionId: "0" });
  for (let reader = 0; reader < 5; reader++) await clients.reader(clients.consumer(), { partition: "0" }).take(1);
  const sixth = clients.reader(clients.consumer(), { partition: "0" });
  const error = await sixth.firstError();
  assert.equal(error.code, "QuotaExceededError");
  assert.match(error.message, /maximum number of allowed receivers/);
});

onEachTransport("two processors share the partitions", async (clients) => {
  const producer = clients.producer();
  const store = new MemoryStore();
  const balance = { loadBalancingOptions: { updateIntervalInMs: 200, partitionOwnershipExpirationIntervalInMs: 10_000 } };
  const one = clients.reader(clients.consumer({ store, ...balance }));
  await eventually(() => one.initialized.size === 4, "the first owns everything");
  const two = clients.reader(clients.consumer({ store, ...balance }));
  await eventually(() => two.initialized.size === 2, "the second takes its half");
  for (const partition of await producer.getPartitionIds()) {
    await producer.sendBatch([{ body: `shared ${partition}` }], { partitionId: partition });
  }
  for (const partition of ["0", "1", "2", "3"]) {
    const owner = two.initialized.has(partition) ? two : one;
    await owner.takeUntil(`shared ${partition}`);
  }
  for (const error of [...one.errors, ...two.errors]) assert.equal(error.code, "ReceiverDisconnectedError");
});

/** A checkpoint store in memory: what the SDK asks of one, and no more. */
class MemoryStore {
  #ownerships = new Map();
  #checkpoints = new Map();
  #etags = 0;

  async listOwnership() {
    return [...this.#ownerships.values()];
  }

  async claimOwnership(claims) {
    return claims.flatMap((claim) => {
      const held = this.#ownerships.get(claim.partitionId);
      if (held && held.etag !== claim.etag) return [];
      const claimed = { ...claim, etag: `${++this.#etags}`, lastModifiedTimeInMs: Date.now() };
      this.#ownerships.set(claim.partitionId, claimed);
      return [claimed];
    });
  }

  async updateCheckpoint(checkpoint) {
    this.#checkpoints.set(checkpoint.partitionId, checkpoint);
  }

  async listCheckpoints() {
    return [...this.#checkpoints.values()];
  }
}
