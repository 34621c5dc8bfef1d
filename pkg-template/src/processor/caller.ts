// Calls of a store that may be slow, wrong, silent or gone.

import { type ErrorCode, EventHubsError } from "../error.js";
import { within } from "../internal/pause.js";
import type { Checkpoint, CheckpointStore, Mark, PartitionOwnership, RecordFailure, StoreOptions, WatchedStore } from "./checkpoint.js";
import { groupOf } from "./rules.js";

/** Whose checkpoints and ownerships belong together. */
export interface Group {
  readonly namespace: string;
  readonly eventHub: string;
  readonly consumerGroup: string;
}

/** What a store answered, with what it cannot say about single partitions. */
export interface Answer<R> {
  readonly records: Map<string, R>;
  readonly failures: readonly RecordFailure[];
}

/** One group's records in a store. Every call ends in time, and with what was asked for or an error of ours. */
export class GroupStore {
  readonly #store: CheckpointStore;
  readonly #group: Group;
  readonly #timeoutMs: number;

  constructor(store: CheckpointStore, group: Group, timeoutMs: number) {
    this.#store = store;
    this.#group = group;
    this.#timeoutMs = timeoutMs;
  }

  async listOwnership(): Promise<Answer<PartitionOwnership>> {
    return this.#ask("list the ownerships of", isOwnership, (options) => this.#store.listOwnership(...this.#names, options));
  }

  async listCheckpoints(): Promise<Answer<Checkpoint>> {
    return this.#ask("list the checkpoints of", isCheckpoint, (options) => this.#store.listCheckpoints(...this.#names, options));
  }

  /** Those won; `owner` empty gives up. */
  async claim(claims: readonly { partitionId: string; etag: string | undefined }[], ownerId: string): Promise<Answer<PartitionOwnership>> {
    if (claims.length === 0) return { records: new Map(), failures: [] };
    const asked = claims.map(({ partitionId, etag }): PartitionOwnership => {
      const claim = { ...this.#place(partitionId), ownerId };
      return etag === undefined ? claim : { ...claim, etag };
    });
    const ids = new Set(claims.map(({ partitionId }) => partitionId));
    const isWon = (record: unknown): record is PartitionOwnership =>
      isOwnership(record) && record.ownerId === ownerId && ids.has(record.partitionId);
    return this.#ask("claim partitions of", isWon, (options) => this.#store.claimOwnership(asked, options));
  }

  async updateCheckpoint(partitionId: string, { sequenceNumber, offset }: Mark): Promise<void> {
    const checkpoint: Checkpoint = { ...this.#place(partitionId), sequenceNumber, offset };
    await this.#call("write a checkpoint of", (options) => this.#store.updateCheckpoint(checkpoint, options));
  }

  /** Has `wake` called when something changed, where the store can tell. */
  watch(ownerId: string, wake: () => void): () => void {
    const store = this.#store as Partial<WatchedStore>;
    return typeof store.watch === "function" ? store.watch(...this.#names, ownerId, wake) : () => undefined;
  }

  get #names(): [string, string, string] {
    return [this.#group.namespace, this.#group.eventHub, this.#group.consumerGroup];
  }

  #place(partitionId: string): { fullyQualifiedNamespace: string; eventHubName: string; consumerGroup: string; partitionId: string } {
    const [fullyQualifiedNamespace, eventHubName, consumerGroup] = this.#names;
    return { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId };
  }

  async #ask<R extends { partitionId: string }>(
    what: string,
    isRight: (record: unknown) => record is R,
    call: (options: StoreOptions) => Promise<R[]>,
  ): Promise<Answer<R>> {
    const failures: RecordFailure[] = [];
    const answer: unknown = await this.#call(what, (options) => call({ ...options, failures }));
    if (!Array.isArray(answer)) throw this.#wrong(what, "no list");
    const records = new Map<string, R>();
    for (const record of answer) {
      if (!isRight(record)) throw this.#wrong(what, "a list with something else in it");
      records.set(record.partitionId, record);
    }
    return { records, failures };
  }

  async #call<T>(what: string, call: (options: StoreOptions) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    let done: { value: T } | undefined;
    try {
      done = await within(this.#timeoutMs, Promise.resolve(call({ abortSignal: abort.signal })));
    } catch (error) {
      throw this.#explained(what, error);
    }
    if (done !== undefined) return done.value;
    const error = this.#error("timeout", what, `did not answer within ${this.#timeoutMs} ms`);
    abort.abort(error);
    throw error;
  }

  #wrong(what: string, seen: string): EventHubsError {
    return this.#error("protocol", what, `answered with ${seen}`);
  }

  #explained(what: string, thrown: unknown): EventHubsError {
    const inner = thrown as Partial<EventHubsError> | undefined;
    const code = thrown instanceof EventHubsError ? thrown.code : "internal";
    return this.#error(code, what, `failed: ${String(inner?.message ?? thrown)}`, thrown);
  }

  #error(code: ErrorCode, what: string, why: string, cause?: unknown): EventHubsError {
    const entity = groupOf(...this.#names).join("/");
    // Whatever it is, the processor asks again.
    const details = { operation: what, entity, retryable: true, ...(cause !== undefined && { cause }) };
    return new EventHubsError(code, `cannot ${what} ${entity}: the checkpoint store ${why}`, details);
  }
}

function isOwnership(record: unknown): record is PartitionOwnership {
  const { partitionId, ownerId } = (record ?? {}) as Partial<PartitionOwnership>;
  return typeof partitionId === "string" && typeof ownerId === "string";
}

function isCheckpoint(record: unknown): record is Checkpoint {
  return typeof (record as Partial<Checkpoint> | undefined)?.partitionId === "string";
}
