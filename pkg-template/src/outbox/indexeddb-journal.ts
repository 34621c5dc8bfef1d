import { EventHubsError } from "../error.js";
import { answer, openDatabase } from "../internal/indexeddb.js";
import { costOf, type Identity, type Journal, type Kept, type KeptBatch, type Letter, type Limits, takenBack, type Totals } from "./journal.js";

const EVENTS = "events";
const BATCHES = "batches";
const IDENTITIES = "identities";
const LETTERS = "letters";
const TOTALS = "totals";
const NOTHING: Totals & { last: number } = { events: 0, bytes: 0, letters: 0, droppedLetters: 0, last: 0 };

type Stores = Record<string, IDBObjectStore>;

/** Keeps what waits in IndexedDB: tabs and workers of one origin share it, and changes of theirs come one after the other. */
export class IndexedDbJournal implements Journal {
  readonly place: string;
  readonly #durability: IDBTransactionDurability;
  #opened: Promise<IDBDatabase> | undefined;
  #isClosed = false;

  constructor(name: string, durability: IDBTransactionDurability) {
    this.place = name;
    this.#durability = durability;
  }

  append(events: readonly Omit<Kept, "id">[], limits: Limits): Promise<boolean> {
    return this.#change("keep events", [EVENTS, TOTALS], this.#durability, async ({ events: rows, totals }) => {
      const sum = await totalsOf(totals!);
      const bytes = events.reduce((sum, event) => sum + costOf(event), 0);
      if (sum.events + events.length > limits.maxEvents || sum.bytes + bytes > limits.maxBytes) return false;
      let last = sum.last;
      for (const event of events) rows!.add({ ...event, id: (last += 1) });
      totals!.put({ ...sum, events: sum.events + events.length, bytes: sum.bytes + bytes, last }, 0);
      return true;
    });
  }

  totals(): Promise<Totals> {
    return this.#read("count events", [TOTALS], ({ totals }) => totalsOf(totals!));
  }

  ends(): Promise<{ oldest: Kept | undefined; last: number }> {
    return this.#read("look at events", [EVENTS, TOTALS], async ({ events, totals }) => {
      const [oldest] = await answer<Kept[]>(events!.getAll(undefined, 1));
      return { oldest, last: (await totalsOf(totals!)).last };
    });
  }

  letters(): Promise<Letter[]> {
    return this.#read("list dead letters", [LETTERS], ({ letters }) => answer<Letter[]>(letters!.getAll()));
  }

  async removeLetters(ids: readonly number[]): Promise<void> {
    await this.#change("remove dead letters", [LETTERS, TOTALS], "strict", async ({ letters, totals }) => {
      for (const id of ids) letters!.delete(id);
      const left = await answer<number>(letters!.count());
      totals!.put({ ...(await totalsOf(totals!)), letters: left }, 0);
    });
  }

  batches(): Promise<KeptBatch[]> {
    return this.#read("list batches", [BATCHES], ({ batches }) => answer<KeptBatch[]>(batches!.getAll()));
  }

  read(after: number, limit: number): Promise<Kept[]> {
    const range = IDBKeyRange.lowerBound(after, true);
    return this.#read("read events", [EVENTS], ({ events }) => answer<Kept[]>(events!.getAll(range, limit)));
  }

  get(ids: readonly number[]): Promise<Kept[]> {
    return this.#read("read events", [EVENTS], async ({ events }) => {
      const found = await Promise.all(ids.map((id) => answer<Kept | undefined>(events!.get(id))));
      return found.filter((event) => event !== undefined);
    });
  }

  identity(partition: string): Promise<Identity | undefined> {
    return this.#read("read an identity", [IDENTITIES], ({ identities }) => answer<Identity | undefined>(identities!.get(partition)));
  }

  async setIdentity(identity: Identity): Promise<void> {
    await this.#change("keep an identity", [IDENTITIES], "strict", async ({ identities }) => {
      identities!.put(identity);
    });
  }

  async begin(batch: KeptBatch, identity: Identity | undefined): Promise<void> {
    await this.#change("keep a batch", [BATCHES, IDENTITIES], "strict", async ({ batches, identities }) => {
      batches!.add(batch);
      if (identity !== undefined) identities!.put(identity);
    });
  }

  async done(batch: KeptBatch): Promise<void> {
    // Whether it outlives a power cut makes no difference: the service swallows what it has.
    await this.#change("end a batch", [EVENTS, BATCHES, TOTALS], "relaxed", async ({ events, batches, totals }) => {
      batches!.delete(batch.partition);
      await remove(events!, totals!, batch.events);
    });
  }

  async dissolve(batch: KeptBatch, alone: boolean): Promise<void> {
    await this.#change("dissolve a batch", [EVENTS, BATCHES, IDENTITIES], "strict", async ({ events, batches, identities }) => {
      batches!.delete(batch.partition);
      const identity = takenBack(await answer<Identity | undefined>(identities!.get(batch.partition)), batch);
      if (identity !== undefined) identities!.put(identity);
      if (!alone) return;
      for (const id of batch.events) {
        const event = await answer<Kept | undefined>(events!.get(id));
        if (event !== undefined) events!.put({ ...event, alone });
      }
    });
  }

  async bury(letter: Letter, most: number): Promise<void> {
    await this.#change("keep a dead letter", [EVENTS, LETTERS, TOTALS], "strict", async ({ events, letters, totals }) => {
      letters!.put({ ...letter, id: letter.event.id });
      await remove(events!, totals!, [letter.event.id]);
      const count = await answer<number>(letters!.count());
      const sum = await totalsOf(totals!);
      const tooMany = Math.max(0, count - most);
      if (tooMany > 0) {
        for (const key of await answer<IDBValidKey[]>(letters!.getAllKeys(undefined, tooMany))) letters!.delete(key);
      }
      totals!.put({ ...sum, letters: count - tooMany, droppedLetters: sum.droppedLetters + tooMany }, 0);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const opened = this.#opened;
    this.#opened = undefined;
    (await opened?.catch(() => undefined))?.close();
  }

  #read<R>(what: string, names: string[], work: (stores: Stores) => Promise<R>): Promise<R> {
    return this.#transaction(what, names, "readonly", {}, work);
  }

  #change<R>(what: string, names: string[], durability: IDBTransactionDurability, work: (stores: Stores) => Promise<R>): Promise<R> {
    return this.#transaction(what, names, "readwrite", { durability }, work);
  }

  /** Resolves when the transaction is through, not before. */
  async #transaction<R>(
    what: string,
    names: string[],
    mode: IDBTransactionMode,
    how: IDBTransactionOptions,
    work: (stores: Stores) => Promise<R>,
  ): Promise<R> {
    try {
      const transaction = (await this.#open()).transaction(names, mode, how);
      const through = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
      });
      // What the work fails with says more.
      through.catch(() => undefined);
      const stores = Object.fromEntries(names.map((name) => [name, transaction.objectStore(name)]));
      const worked = work(stores).catch((error: unknown) => {
        // Half of it must not be kept.
        if (mode === "readwrite") transaction.abort();
        throw error;
      });
      const [result] = await Promise.all([worked, through]);
      return result;
    } catch (error) {
      throw this.#broken(what, error);
    }
  }

  #open(): Promise<IDBDatabase> {
    if (this.#isClosed) return Promise.reject(new EventHubsError("closed", "the outbox was closed"));
    const make = (database: IDBDatabase): void => {
      database.createObjectStore(EVENTS, { keyPath: "id" });
      database.createObjectStore(BATCHES, { keyPath: "partition" });
      database.createObjectStore(IDENTITIES, { keyPath: "partition" });
      database.createObjectStore(LETTERS, { keyPath: "id" });
      database.createObjectStore(TOTALS);
    };
    // The next call opens it again.
    const forget = (): void => {
      this.#opened = undefined;
    };
    this.#opened ??= openDatabase(this.place, make, forget).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  #broken(what: string, error: unknown): EventHubsError {
    if (error instanceof EventHubsError) return error;
    const { name, message } = error as Error;
    const code = name === "QuotaExceededError" ? "quota-exceeded" : "internal";
    const text = `cannot ${what} in the IndexedDB database '${this.place}': ${message}`;
    return new EventHubsError(code, text, { operation: what, entity: this.place, retryable: true, cause: error });
  }
}

async function totalsOf(totals: IDBObjectStore): Promise<Totals & { last: number }> {
  return (await answer<(Totals & { last: number }) | undefined>(totals.get(0))) ?? NOTHING;
}

async function remove(events: IDBObjectStore, totals: IDBObjectStore, ids: readonly number[]): Promise<void> {
  const found = (await Promise.all(ids.map((id) => answer<Kept | undefined>(events.get(id))))).filter((event) => event !== undefined);
  for (const { id } of found) events.delete(id);
  const sum = await totalsOf(totals);
  const bytes = found.reduce((sum, event) => sum + costOf(event), 0);
  totals.put({ ...sum, events: sum.events - found.length, bytes: sum.bytes - bytes }, 0);
}
