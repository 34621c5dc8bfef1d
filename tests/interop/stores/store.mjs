// The official JavaScript checkpoint store, told what to do line by line by ../blob_store.rs.
//
//   node store.mjs CONNECTION_STRING CONTAINER NAMESPACE HUB GROUP

import { createInterface } from "node:readline";

import { BlobCheckpointStore } from "@azure/eventhubs-checkpointstore-blob";
import { ContainerClient } from "@azure/storage-blob";

const [connectionString, container, ...group] = process.argv.slice(2);
const [fullyQualifiedNamespace, eventHubName, consumerGroup] = group;
const ids = { fullyQualifiedNamespace, eventHubName, consumerGroup };
const store = new BlobCheckpointStore(new ContainerClient(connectionString, container));

const ownership = ({ partitionId, ownerId, etag, lastModifiedTimeInMs }) => ({
  partition: partitionId,
  owner: ownerId,
  etag,
  modified: lastModifiedTimeInMs,
});

const verbs = {
  owners: async () => (await store.listOwnership(...group)).map(ownership),
  claim: async ({ claims }) => {
    const asked = claims.map(({ partition, owner, etag }) => ({
      ...ids,
      partitionId: partition,
      ownerId: owner,
      ...(etag && { etag }),
    }));
    return (await store.claimOwnership(asked)).map(ownership);
  },
  checkpoints: async () =>
    (await store.listCheckpoints(...group)).map(({ partitionId, offset, sequenceNumber }) => ({
      partition: partitionId,
      offset,
      number: sequenceNumber,
    })),
  checkpoint: async ({ partition, offset, number }) => {
    await store.updateCheckpoint({ ...ids, partitionId: partition, offset, sequenceNumber: number });
    return [];
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, ...said } = JSON.parse(line);
  const answer = await verbs[verb](said).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(answer));
}
