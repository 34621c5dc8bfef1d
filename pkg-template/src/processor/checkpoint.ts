// What a consumer group remembers outside of the service: how far each partition was read, and who reads it.

import type { EventHubsError } from "../error.js";
import { invalid } from "../internal/check.js";
import type { StartPosition } from "../options.js";

/** A partition of a consumer group. */
export interface PartitionPlace {
  /** The namespace's host, such as `contoso.servicebus.windows.net`. */
  fullyQualifiedNamespace: string;
  eventHubName: string;
  consumerGroup: string;
  partitionId: string;
}

/**
 * How far a partition was read. At least one of offset and sequence number is known: of what a client of another language left out, an
 * offset is empty and a sequence number `NaN`.
 */
export interface Checkpoint extends PartitionPlace {
  sequenceNumber: number;
  offset: string;
}

/** Who reads a partition. */
export interface PartitionOwnership extends PartitionPlace {
  /** The processor that reads it; empty when the last one has given it up. */
  ownerId: string;
  /** When it was claimed or renewed, by the store's clock. A store sets it. */
  lastModifiedTimeInMs?: number;
  /**
   * The version of the record, as the store named it. A claim with the wrong one is lost; a claim without one is only won where there is no
   * record yet.
   */
  etag?: string;
  /** The store knows that the owner lives, however long ago it renewed. */
  isAlive?: boolean;
}

/** Why a store has no answer for one partition, though it has for others. */
export interface RecordFailure {
  readonly partitionId: string;
  /** The version of the record, where the store knows it: an ownership that cannot be understood is replaced by a claim with it. */
  readonly etag?: string | undefined;
  readonly error: EventHubsError;
}

/** What every call of a store takes besides. */
export interface StoreOptions {
  /** Gives up on the call. */
  abortSignal?: Pick<AbortSignal, "aborted" | "addEventListener" | "removeEventListener">;
  /**
   * Where the store puts what it cannot say about single partitions, such as a record that cannot be understood; the call then answers for
   * the others. Without this, the call fails over it.
   */
  failures?: RecordFailure[];
}

/**
 * Where a consumer group remembers how far it has read, and who reads what: an object with these four methods, as in `@azure/event-hubs`, so
 * that its stores can be used here and these ones there. {@link testCheckpointStore} looks whether one keeps what a group relies on.
 *
 * Names of namespaces, hubs and groups are the same in any case, as they are for the service; partitions' and owners' are taken by the
 * letter.
 */
export interface CheckpointStore {
  /** Who reads which partition, released ones included. */
  listOwnership(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<PartitionOwnership[]>;
  /**
   * Claims partitions, renews what is owned, and gives up (with an empty owner): those won, with their new etag and time. Of claims that race
   * for a partition exactly one is won; one that is lost is left out, which is no failure.
   */
  claimOwnership(claims: PartitionOwnership[], options?: StoreOptions): Promise<PartitionOwnership[]>;
  /** How far each partition was read. */
  listCheckpoints(namespace: string, eventHub: string, consumerGroup: string, options?: StoreOptions): Promise<Checkpoint[]>;
  /**
   * Puts a checkpoint in place of the partition's former one, whatever that says. A store that can tell leaves the former one where somebody
   * else has written it, further on, since this store was told of it last, by a listing or by writing itself: so nobody who is late puts a
   * group back, and whoever wants to go back looks first.
   */
  updateCheckpoint(checkpoint: Checkpoint, options?: StoreOptions): Promise<void>;
}

/** A store that can tell when somebody else changed something, so that processors need not wait for their next cycle. */
export interface WatchedStore extends CheckpointStore {
  /**
   * Calls `wake` when the group's ownerships may have changed, until the function that it returns is called: then `ownerId` is gone, and what
   * it still owns is free where the store knows who lives.
   */
  watch(namespace: string, eventHub: string, consumerGroup: string, ownerId: string, wake: () => void): () => void;
}

/** What of a checkpoint says how far it is. */
export type Mark = Pick<Checkpoint, "sequenceNumber" | "offset">;

export function hasOffset({ offset }: Mark): boolean {
  return typeof offset === "string" && offset !== "";
}

export function hasNumber({ sequenceNumber }: Mark): boolean {
  return Number.isSafeInteger(sequenceNumber);
}

/** Where reading goes on: behind the event. The offset is preferred, as the official clients do. Undefined for what says nothing. */
export function positionBehind(mark: Mark): StartPosition | undefined {
  if (hasOffset(mark)) return { offset: mark.offset };
  return hasNumber(mark) ? { sequenceNumber: mark.sequenceNumber } : undefined;
}

/**
 * The checkpoint without what it does not know, checked.
 *
 * @throws EventHubsError `invalid-argument` for one that says nothing, or has a number that is none.
 */
export function checked(checkpoint: Checkpoint): Checkpoint {
  const { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId, sequenceNumber, offset } = checkpoint;
  const place = { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId };
  const isNumberKnown = sequenceNumber !== undefined && sequenceNumber !== null && !Number.isNaN(sequenceNumber);
  if (isNumberKnown && !Number.isSafeInteger(sequenceNumber)) {
    throw invalid(`the checkpoint of partition '${partitionId}' has a sequence number that is no whole number that JavaScript holds exactly`);
  }
  const known = { ...place, sequenceNumber: isNumberKnown ? sequenceNumber : NaN, offset: offset ?? "" };
  if (typeof known.offset !== "string") throw invalid(`the offset of the checkpoint of partition '${partitionId}' is no text`);
  if (positionBehind(known) === undefined) {
    throw invalid(`the checkpoint of partition '${partitionId}' has neither an offset nor a sequence number`);
  }
  return known;
}
