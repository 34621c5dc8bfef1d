// What the promises share: stores on one place, and groups that nobody else uses.

import { randomName } from "../../internal/random-name.js";
import type { Checkpoint, CheckpointStore, PartitionOwnership, RecordFailure, StoreOptions } from "../checkpoint.js";

/** A promise that was not kept. */
export class Broken extends Error {}

/** A promise: a sentence, and how it is looked into. */
export interface CheckpointStorePromise {
  readonly promise: string;
  /** Rejects when it is not kept, saying what was seen. */
  run(): Promise<void>;
}

/** Names of a group. */
export interface Group {
  readonly namespace: string;
  readonly eventHub: string;
  readonly consumerGroup: string;
}

/** What of a record has to be the same wherever it is seen. */
export type Owned = Pick<PartitionOwnership, "partitionId" | "ownerId" | "etag" | "lastModifiedTimeInMs">;
export type Read = Pick<Checkpoint, "partitionId" | "sequenceNumber" | "offset">;

export class Stage {
  readonly #stores: readonly CheckpointStore[];
  /** Part of every namespace, so that what other runs left behind is never met. */
  readonly #run = randomName().slice(0, 13);

  constructor(stores: readonly CheckpointStore[]) {
    this.#stores = stores;
  }

  /** A group that only the promise with this label uses. */
  group(label: string): Group {
    return { namespace: `${label}-${this.#run}.servicebus.windows.net`, eventHub: "orders", consumerGroup: "$Default" };
  }

  /** One of the stores; neighbours differ, so what one writes the other reads. */
  store(number: number): CheckpointStore {
    return this.#stores[number % this.#stores.length]!;
  }

  /** What is listed, by partition. */
  async owners(number: number, group: Group): Promise<Map<string, Owned>> {
    const failures: RecordFailure[] = [];
    const listed = await during("listing ownerships", this.store(number).listOwnership(...names(group), { failures }));
    if (failures[0] !== undefined) throw new Broken(`an ownership was listed as unreadable: ${failures[0].error.message}`);
    const owners = byPartition(listed.map(owned));
    for (const record of owners.values()) {
      if (record.etag === undefined || record.lastModifiedTimeInMs === undefined) {
        throw new Broken(`an ownership was listed without etag or time: ${shown(record)}`);
      }
    }
    return owners;
  }

  /** What is won, each with an etag and a time, and as it was claimed. */
  async claim(number: number, group: Group, claims: readonly Claim[], options?: StoreOptions): Promise<Owned[]> {
    const failures: RecordFailure[] = [];
    const asked = claims.map((claim) => full(group, claim));
    const won = await during("claiming", this.store(number).claimOwnership(asked, { failures, ...options }));
    if (failures[0] !== undefined) throw new Broken(`claiming failed for a partition: ${failures[0].error.message}`);
    for (const { partitionId, ownerId, etag, lastModifiedTimeInMs } of won) {
      const claim = claims.find((claim) => claim.partitionId === partitionId && claim.ownerId === ownerId);
      if (claim === undefined) throw new Broken(`something was won that was not claimed: ${partitionId}, ${ownerId}`);
      if (etag === undefined || lastModifiedTimeInMs === undefined || etag === claim.etag) {
        throw new Broken(`what was won lacks a new etag or a time: ${shown({ partitionId, etag, lastModifiedTimeInMs })}`);
      }
    }
    return won.map(owned);
  }

  /** Wins one partition, or says why not. */
  async win(number: number, group: Group, claim: Claim): Promise<Owned> {
    const [won] = await this.claim(number, group, [claim]);
    if (won === undefined) throw new Broken(`a claim that nobody contests was lost: ${shown(claim)}`);
    return won;
  }

  /** Loses one partition, or says that it was won. */
  async lose(number: number, group: Group, claim: Claim): Promise<void> {
    const [won] = await this.claim(number, group, [claim]);
    if (won !== undefined) throw new Broken(`a claim was won that had to be lost: ${shown(claim)} became ${shown(won)}`);
  }

  /** Makes all claims at once, each in a call of its own; what was won. */
  async race(group: Group, claims: readonly Claim[]): Promise<Owned[]> {
    return (await Promise.all(claims.map((claim, number) => this.claim(number, group, [claim])))).flat();
  }

  /** What is listed, by partition. */
  async checkpoints(number: number, group: Group): Promise<Map<string, Read>> {
    const failures: RecordFailure[] = [];
    const listed = await during("listing checkpoints", this.store(number).listCheckpoints(...names(group), { failures }));
    if (failures[0] !== undefined) throw new Broken(`a checkpoint was listed as unreadable: ${failures[0].error.message}`);
    return byPartition(listed.map(({ partitionId, sequenceNumber, offset }) => ({ partitionId, sequenceNumber, offset })));
  }

  async write(number: number, group: Group, checkpoint: Read, options?: StoreOptions): Promise<void> {
    await during("writing a checkpoint", this.store(number).updateCheckpoint(written(group, checkpoint), options));
  }
}

/** A claim of a group that is known from elsewhere. */
export type Claim = Pick<PartitionOwnership, "partitionId" | "ownerId" | "etag">;

export function claimOf(partitionId: string, ownerId: string, etag?: string): Claim {
  return etag === undefined ? { partitionId, ownerId } : { partitionId, ownerId, etag };
}

/** The record claimed by another, or by the same once more. */
export function by({ partitionId, etag }: Owned, ownerId: string): Claim {
  return claimOf(partitionId, ownerId, etag);
}

export function readUntil(partitionId: string, offset: string, sequenceNumber: number): Read {
  return { partitionId, offset, sequenceNumber };
}

export function names({ namespace, eventHub, consumerGroup }: Group): [string, string, string] {
  return [namespace, eventHub, consumerGroup];
}

export function full({ namespace, eventHub, consumerGroup }: Group, { partitionId, ownerId, etag }: Claim): PartitionOwnership {
  const claim = { fullyQualifiedNamespace: namespace, eventHubName: eventHub, consumerGroup, partitionId, ownerId };
  return etag === undefined ? claim : { ...claim, etag };
}

export function written({ namespace, eventHub, consumerGroup }: Group, checkpoint: Read): Checkpoint {
  return { fullyQualifiedNamespace: namespace, eventHubName: eventHub, consumerGroup, ...checkpoint };
}

/** That two things are the same, or that they are not. */
export function same(what: string, seen: unknown, expected: unknown): void {
  if (shown(seen) !== shown(expected)) throw new Broken(`${what}: ${shown(expected)} was expected, not ${shown(seen)}`);
}

export function isRefusal(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === "invalid-argument";
}

function owned({ partitionId, ownerId, etag, lastModifiedTimeInMs }: PartitionOwnership): Owned {
  return { partitionId, ownerId, etag, lastModifiedTimeInMs } as Owned;
}

function byPartition<R extends { partitionId: string }>(records: readonly R[]): Map<string, R> {
  const all = new Map(records.map((record) => [record.partitionId, record]));
  if (all.size !== records.length) throw new Broken(`${records.length} records were listed for ${all.size} partitions`);
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function during<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Broken(`${what} failed: ${String((error as Error | undefined)?.message ?? error)}`, { cause: error });
  }
}

/** Names in one order; what is no number is told from nothing. */
function shown(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === "number" && Number.isNaN(part)) return "NaN";
    if (part instanceof Map) return [...part];
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  }) ?? "nothing";
}
