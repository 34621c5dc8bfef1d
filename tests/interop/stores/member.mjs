// A member of a consumer group, by the official JavaScript SDK: processes and checkpoints every event until its input
// ends. Directed by ../group.rs.
//
//   node member.mjs CONNECTION_STRING HUB STORAGE CONTAINER

import { EventHubConsumerClient, earliestEventPosition } from "@azure/event-hubs";
import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import { ContainerClient } from "@azure/storage-blob";

const [connectionString, hub, storage, container] = process.argv.slice(2);
const store = new BlobCheckpointStore(new ContainerClient(storage, container));
const consumer = new EventHubConsumerClient("$Default", connectionString, hub, store, {
  loadBalancingOptions: {
    strategy: "balanced",
    updateIntervalInMs: 1_000,
    partitionOwnershipExpirationIntervalInMs: 20_000,
  },
});
const tell = (what) => console.log(JSON.stringify(what));
const subscription = consumer.subscribe(
  {
    processEvents: async (events, context) => {
      for (const event of events) {
        tell({ partition: context.partitionId, number: event.sequenceNumber });
        await context.updateCheckpoint(event);
      }
    },
    // A partition that is lost, and a checkpoint of it, are errors here; losing is what this is about.
    processError: async (error, context) => console.error(context.partitionId, error.code ?? error.name, error.message),
  },
  { startPosition: earliestEventPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 1 },
);
process.stdin.resume();
await new Promise((resolve) => process.stdin.once("end", resolve));
await subscription.close();
await consumer.close();
