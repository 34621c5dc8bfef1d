import { EventHubsError } from "../error.js";
import { options as checkedOptions, type Rule } from "../internal/check.js";
import { answer, openDatabase } from "../internal/indexeddb.js";
import { checked, type Checkpoint, type PartitionOwnership, type StoreOptions, type WatchedStore } from "./checkpoint.js";
import { Liveness } from "./liveness.js";
import { checkedClaims, decided, groupOf, keyOf, place } from "./rules.js";

/** How a store in IndexedDB is kept. */
export interface IndexedDbOptions {
  /** The name of the database. Stores of one name, in one origin, share what they keep. Default: `eventhubs`. */
  database?: string | undefined;
}

const OPTIONS: Record<string, Rule> = { database: "string" };
const OWNERSHIP = "ownership";
const CHECKPOINT = "checkpoint";

/** An ownership as it lies in the database. `lock`: the Web Lock that its owner holds as long as it lives. */
interface Row extends PartitionOwnership {
  lock?: string;
}

/**
 * Keeps everything in the browser: tabs, windows and workers of one origin are members of one group, and a page that is loaded again goes
 * on where it stopped.
 *
 * Who owns a partition holds a Web Lock, which the browser takes back when the tab is closed or crashes: its partitions are free at once, and
 * the other tabs are woken. A tab in the background whose timers are slowed down loses nothing. Where there are no locks (pages that came over
 * plain http from another machine) ownerships expire as in any other store.
 */
export class IndexedDbCheckpointStore implements WatchedStore {
  readonly #name: string;
  readonly #liveness: Liveness;
  #opened: Promise<IDBDatabase> | undefined;

  /** Checks its options, and does nothing else yet. */
  constructor(given?: IndexedDbOptions) {
    const { database = "eventhubs" } = checkedOptions(given, OPTIONS, "an IndexedDbCheckpointStore");
    this.#name = database;
    this.#liveness = new Liveness(`eventhubs:${database}`);
  }

  async listOwnership(namespace: string, eventHub: string, consumerGroup: string): Promise<PartitionOwnership[]> {
    const group = groupOf(namespace, eventHub, consumerGroup);
    const rows = await this.#list<Row>(OWNERSHIP, group);
    const living = await this.#liveness.locks(rows.map(({ lock }) => lock));
    return rows.map(({ lock, ...record }) => {
      if (lock === undefined || living === undefined || record.ownerId === "") return record;
      // The browser took the lock back: whoever it was is gone.
      return living.has(lock) ? { ...record, isAlive: true } : { ...record, ownerId: "" };
    });
  }

  async claimOwnership(claims: PartitionOwnership[], given?: StoreOptions): Promise<PartitionOwnership[]> {
    const asked = checkedClaims(claims);
    if (asked.length === 0) return [];
    // Held before it is written: an owner without a lock would count as dead.
    const owners = [...new Set(asked.map(({ ownerId }) => ownerId))].filter((ownerId) => ownerId !== "");
    const locks = new Map<string, string | undefined>();
    for (const owner of owners) locks.set(owner, await this.#liveness.hold(owner));
    let isChanged = false;
    const won = await this.#change("claim partitions", OWNERSHIP, "relaxed", given, async (rows) => {
      const won: PartitionOwnership[] = [];
      for (const claim of asked) {
        const key = keyOf(claim);
        const known = await answer<Row | undefined>(rows.get(key));
        const record = decided(claim, known);
        if (record === undefined) continue;
        const lock = locks.get(claim.ownerId);
        rows.put(lock === undefined ? record : { ...record, lock }, key);
        isChanged ||= known?.ownerId !== record.ownerId;
        won.push(lock === undefined ? record : { ...record, isAlive: true });
      }
      return won;
    });
    if (isChanged) this.#liveness.tell(asked.map((claim) => groupOf(claim.fullyQualifiedNamespace, claim.eventHubName, claim.consumerGroup)));
    return won;
  }

  async listCheckpoints(namespace: string, eventHub: string, consumerGroup: string): Promise<Checkpoint[]> {
    return this.#list<Checkpoint>(CHECKPOINT, groupOf(namespace, eventHub, consumerGroup));
  }

  async updateCheckpoint(checkpoint: Checkpoint, given?: StoreOptions): Promise<void> {
    const { sequenceNumber, offset } = checked(checkpoint);
    await this.#change("write a checkpoint", CHECKPOINT, "strict", given, async (rows) => {
      rows.put({ ...place(checkpoint), sequenceNumber, offset }, keyOf(checkpoint));
    });
  }

  /** Calls `wake` when another tab claimed, released or went. */
  watch(namespace: string, eventHub: string, consumerGroup: string, ownerId: string, wake: () => void): () => void {
    const unwatch = this.#liveness.watch(groupOf(namespace, eventHub, consumerGroup), wake);
    return () => {
      unwatch();
      this.#liveness.letGo(ownerId);
    };
  }

  /** Lets go of the database and of all ownerships. Processors are closed first. */
  async close(): Promise<void> {
    this.#liveness.close();
    const opened = this.#opened;
    this.#opened = undefined;
    (await opened?.catch(() => undefined))?.close();
  }

  async #list<R>(kind: string, group: [string, string, string]): Promise<R[]> {
    return this.#transaction(`list the ${kind} records`, kind, "readonly", {}, undefined, (rows) =>
      // All keys that begin so: a list sorts behind every text.
      answer<R[]>(rows.getAll(IDBKeyRange.bound(group, [...group, []]))),
    );
  }

  #change<R>(
    what: string,
    kind: string,
    durability: IDBTransactionDurability,
    given: StoreOptions | undefined,
    work: (rows: IDBObjectStore) => Promise<R>,
  ): Promise<R> {
    return this.#transaction(what, kind, "readwrite", { durability }, given?.abortSignal, work);
  }

  /** Resolves when the transaction is through, not before. */
  async #transaction<R>(
    what: string,
    kind: string,
    mode: IDBTransactionMode,
    how: IDBTransactionOptions,
    signal: StoreOptions["abortSignal"],
    work: (rows: IDBObjectStore) => Promise<R>,
  ): Promise<R> {
    try {
      const database = await this.#open();
      if (signal?.aborted) throw new Error("it was given up on");
      const transaction = database.transaction(kind, mode, how);
      const abort = (): void => {
        // What is through cannot be taken back.
        try {
          transaction.abort();
        } catch {
          return;
        }
      };
      signal?.addEventListener("abort", abort);
      const through = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
      }).finally(() => signal?.removeEventListener("abort", abort));
      // What the work fails with says more.
      through.catch(() => undefined);
      const [result] = await Promise.all([work(transaction.objectStore(kind)), through]);
      return result;
    } catch (error) {
      throw this.#broken(what, error);
    }
  }

  #open(): Promise<IDBDatabase> {
    const make = (database: IDBDatabase): void => {
      for (const kind of [OWNERSHIP, CHECKPOINT]) database.createObjectStore(kind);
    };
    // The next call opens it again.
    const forget = (): void => {
      this.#opened = undefined;
    };
    this.#opened ??= openDatabase(this.#name, make, forget).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  #broken(what: string, error: unknown): EventHubsError {
    if (error instanceof EventHubsError) return error;
    const why = String((error as Error | undefined)?.message ?? error);
    const message = `cannot ${what} in the IndexedDB database '${this.#name}': ${why}`;
    return new EventHubsError("internal", message, { operation: what, entity: this.#name, retryable: true, cause: error });
  }
}
