import { randomName } from "../internal/random-name.js";
import { required } from "./errors.js";
import type { Checkpoint, CheckpointStore, PartitionOwnership } from "./subscription.js";

/** Checkpoints and ownerships in memory: for tests, and for consumers that all live in one process. */
export class InMemoryCheckpointStore implements CheckpointStore {
  readonly #ownerships = new Map<string, PartitionOwnership>();
  readonly #checkpoints = new Map<string, Checkpoint>();

  async listOwnership(namespace: string, eventHub: string, group: string): Promise<PartitionOwnership[]> {
    return [...this.#ownerships.values()].filter(belongs(namespace, eventHub, group)).map((each) => ({ ...each }));
  }

  async claimOwnership(claims: PartitionOwnership[]): Promise<PartitionOwnership[]> {
    const claimed = claims.filter((claim) => {
      const held = this.#ownerships.get(keyOf(claim));
      return held === undefined || held.etag === claim.etag;
    });
    return claimed.map((claim) => {
      const ownership = { ...claim, etag: randomName(), lastModifiedTimeInMs: Date.now() };
      this.#ownerships.set(keyOf(claim), ownership);
      return { ...ownership };
    });
  }

  async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    required("updateCheckpoint", "sequenceNumber", checkpoint.sequenceNumber);
    required("updateCheckpoint", "offset", checkpoint.offset);
    this.#checkpoints.set(keyOf(checkpoint), { ...checkpoint });
  }

  async listCheckpoints(namespace: string, eventHub: string, group: string): Promise<Checkpoint[]> {
    return [...this.#checkpoints.values()].filter(belongs(namespace, eventHub, group)).map((each) => ({ ...each }));
  }
}

type Place = Pick<Checkpoint, "fullyQualifiedNamespace" | "eventHubName" | "consumerGroup" | "partitionId">;

function keyOf({ fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId }: Place): string {
  return JSON.stringify([fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId]);
}

function belongs(namespace: string, eventHub: string, group: string): (place: Place) => boolean {
  return (place) =>
    place.fullyQualifiedNamespace === namespace && place.eventHubName === eventHub && place.consumerGroup === group;
}
