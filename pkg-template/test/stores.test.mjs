// Every store keeps what the suite asks for, and the suite sees one that does not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dist } from "./support.mjs";

const { checkpointStorePromises, MemoryCheckpointStore, testCheckpointStore } = await dist("processor.js");

const memory = new MemoryCheckpointStore();
for (const { promise, run } of checkpointStorePromises(() => memory)) test(`memory: ${promise}`, run);

/** A memory store that does something wrong. */
function spoiled(methods) {
  const inner = new MemoryCheckpointStore();
  const all = ["listOwnership", "claimOwnership", "listCheckpoints", "updateCheckpoint"];
  const store = Object.fromEntries(all.map((name) => [name, (...given) => inner[name](...given)]));
  return { ...store, ...methods(inner) };
}

for (const [what, methods, broken] of [
  ["lets everybody win", (inner) => ({ claimOwnership: async (claims) => {
    const { fullyQualifiedNamespace, eventHubName, consumerGroup } = claims[0] ?? {};
    const known = claims.length === 0 ? [] : await inner.listOwnership(fullyQualifiedNamespace, eventHubName, consumerGroup);
    return inner.claimOwnership(claims.map((claim) => ({ ...claim, etag: known.find((each) => each.partitionId === claim.partitionId)?.etag })));
  } }), /a claim without an etag is won only where there is no record/],
  ["looks first and writes later", (inner) => ({ claimOwnership: async (claims) => {
    const won = [];
    for (const claim of claims) {
      const find = async () => (await inner.listOwnership(claim.fullyQualifiedNamespace, claim.eventHubName, claim.consumerGroup))
        .find((each) => each.partitionId === claim.partitionId)?.etag;
      if ((await find()) !== claim.etag) continue;
      await new Promise((resolve) => setImmediate(resolve));
      won.push(...(await inner.claimOwnership([{ ...claim, etag: await find() }])));
    }
    return won;
  } }), /exactly one wins/],
  ["forgets sequence numbers", (inner) => ({ listCheckpoints: async (...group) =>
    (await inner.listCheckpoints(...group)).map((each) => ({ ...each, sequenceNumber: NaN })) }), /listed as it was written/],
  ["takes names by the letter", (inner) => ({ listOwnership: async (namespace, ...rest) =>
    namespace === namespace.toLowerCase() ? inner.listOwnership(namespace, ...rest) : [] , listCheckpoints: async (namespace, hub, group) =>
    hub === "orders" ? (await inner.listCheckpoints(namespace, hub, group)).slice(0, 1) : [] }), /hundreds of checkpoints/],
  ["takes nothing for a checkpoint", (inner) => ({ updateCheckpoint: async (checkpoint) => {
    if (checkpoint.offset !== "" || !Number.isNaN(checkpoint.sequenceNumber)) await inner.updateCheckpoint(checkpoint);
  } }), /says nothing was taken/],
  ["does not answer", () => ({ listOwnership: async () => { throw new Error("gone"); } }), /gone/],
]) {
  test(`a store that ${what} is seen`, async () => {
    const store = spoiled(methods);
    await assert.rejects(testCheckpointStore(() => store), (error) => {
      assert.ok(error instanceof AggregateError);
      assert.match(error.message, broken);
      return true;
    });
  });
}

test("the suite says what it looked at", async () => {
  const kept = await testCheckpointStore(() => memory);
  assert.equal(kept.length, 22);
});
