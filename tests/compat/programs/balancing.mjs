// Two consumers share a hub, and one takes over when the other leaves.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, eventHubName, options, say } from "./support.mjs";

/** Whoever shares a store shares the work. */
const store = {
  ownerships: new Map(),
  etags: 0,
  async listOwnership() {
    return [...this.ownerships.values()].map((each) => ({ ...each }));
  },
  async claimOwnership(claims) {
    return claims.flatMap((claim) => {
      const held = this.ownerships.get(claim.partitionId);
      if (held && held.etag !== claim.etag) return [];
      const claimed = { ...claim, etag: `${++this.etags}`, lastModifiedTimeInMs: Date.now() };
      this.ownerships.set(claim.partitionId, claimed);
      return [{ ...claimed }];
    });
  },
  async updateCheckpoint() {},
  async listCheckpoints() {
    return [];
  },
};

function consumer(identifier, strategy) {
  const client = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, store, {
    ...options,
    identifier,
    loadBalancingOptions: { strategy, updateIntervalInMs: 150, partitionOwnershipExpirationIntervalInMs: 10_000 },
  });
  const bodies = new Set();
  const errors = new Set();
  const subscription = client.subscribe(
    {
      processEvents: async (events) => events.forEach((event) => bodies.add(event.body)),
      processError: async (error) => errors.add(error.code),
    },
    { startPosition: earliestEventPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 1 },
  );
  return { client, bodies, errors, subscription };
}

const owned = (identifier) => [...store.ownerships.values()].filter((each) => each.ownerId === identifier).length;
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
};

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
const one = consumer("one", "balanced");
await until(() => owned("one") === 4);
say("alone", owned("one"));
const two = consumer("two", "greedy");
await until(() => owned("one") === 2 && owned("two") === 2);
say("shared", [owned("one"), owned("two")]);
for (const partitionId of await producer.getPartitionIds()) await producer.sendBatch([{ body: `to ${partitionId}` }], { partitionId });
await until(() => new Set([...one.bodies, ...two.bodies]).size === 4);
say("everything arrives", [...new Set([...one.bodies, ...two.bodies])].sort());
await two.subscription.close();
say("left", owned("two"));
await until(() => owned("one") === 4);
say("taken over", owned("one"));
say("nothing but losses", [...one.errors, ...two.errors].every((code) => code === "ReceiverDisconnectedError"));
await one.client.close();
await two.client.close();
await producer.close();
