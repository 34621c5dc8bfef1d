// Goes on where it stopped: checkpoints in a store of one's own, and what the store is asked.

import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";
import { connectionString, consumerGroup, deferred, eventHubName, options, say } from "./support.mjs";

/** What the SDK asks of a store, and no more. */
class Store {
  ownerships = new Map();
  checkpoints = new Map();
  etags = 0;
  asked = new Set();

  async listOwnership(namespace, hub, group) {
    this.asked.add(["listOwnership", namespace, hub, group].join(" "));
    return [...this.ownerships.values()].map((each) => ({ ...each }));
  }

  async claimOwnership(claims) {
    return claims.flatMap((claim) => {
      const held = this.ownerships.get(claim.partitionId);
      if (held && held.etag !== claim.etag) return [];
      const claimed = { ...claim, etag: `${++this.etags}`, lastModifiedTimeInMs: Date.now() };
      this.ownerships.set(claim.partitionId, claimed);
      return [{ ...claimed }];
    });
  }

  async updateCheckpoint(checkpoint) {
    this.asked.add(["updateCheckpoint", ...Object.keys(checkpoint).sort()].join(" "));
    this.checkpoints.set(checkpoint.partitionId, checkpoint);
  }

  async listCheckpoints(namespace, hub, group) {
    this.asked.add(["listCheckpoints", namespace, hub, group].join(" "));
    return [...this.checkpoints.values()];
  }
}

const producer = new EventHubProducerClient(connectionString, eventHubName, options);
for (const partitionId of ["0", "1"]) {
  await producer.sendBatch([0, 1, 2, 3].map((number) => ({ body: `${partitionId}-${number}` })), { partitionId });
}
const store = new Store();
const settings = { ...options, loadBalancingOptions: { strategy: "greedy", updateIntervalInMs: 200 } };

/** Reads until this many events have come; checkpoints behind those with these bodies. */
async function round(count, checkpointed) {
  const consumer = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, store, settings);
  const seen = [];
  const closed = [];
  const done = deferred();
  const subscription = consumer.subscribe(
    {
      processEvents: async (events, context) => {
        for (const event of events) {
          seen.push(event.body);
          if (checkpointed.includes(event.body)) await context.updateCheckpoint(event);
        }
        if (seen.length >= count) done.resolve();
      },
      processError: async (error) => done.reject(error),
      processClose: async (reason, context) => void closed.push([context.partitionId, reason]),
    },
    { startPosition: earliestEventPosition, maxBatchSize: 2, maxWaitTimeInSeconds: 1 },
  );
  await done.promise;
  say("owners", new Set([...store.ownerships.values()].map((each) => each.ownerId)).size);
  say("own", [...store.ownerships.values()].every((each) => each.ownerId === consumer.identifier));
  await subscription.close();
  say("given up", [...store.ownerships.values()].map((each) => each.ownerId));
  say("closed", closed.sort());
  await consumer.close();
  return seen.sort();
}

say("first", await round(8, ["0-1", "1-3"]));
say("checkpoints", [...store.checkpoints.values()].map(({ offset, ...rest }) => [rest, typeof offset]));
await producer.sendBatch([{ body: "1-4" }], { partitionId: "1" });
say("second", await round(3, []));
say("asked", [...store.asked].sort());

// One partition is read without ownership; its checkpoints count as well.
const one = new EventHubConsumerClient(consumerGroup, connectionString, eventHubName, store, settings);
const result = deferred();
const single = one.subscribe(
  "0",
  { processEvents: async (events) => result.resolve(events.map((event) => event.body)), processError: async (error) => result.reject(error) },
  { startPosition: earliestEventPosition, maxBatchSize: 2 },
);
say("one partition", await result.promise);
await single.close();
await one.close();
await producer.close();
