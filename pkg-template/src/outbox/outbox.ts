import type { Body, Codec } from "../codec.js";
import { EventHubsError } from "../error.js";
import type { EventInput, SendOptions } from "../event.js";
import { type CallOptions, raced } from "../internal/call.js";
import { atLeastOne, invalid, millis, options, type Rule, signal, text, wrong } from "../internal/check.js";
import { type Encoder, outgoing } from "../internal/outgoing.js";
import { Bell } from "../internal/pause.js";
import { ProducerClient } from "../producer.js";
import { FileJournal } from "./file-journal.js";
import { IndexedDbJournal } from "./indexeddb-journal.js";
import { costOf, type Journal, type Kept, type Limits } from "./journal.js";
import { Pump } from "./pump.js";

/** How an outbox behaves. */
export interface OutboxOptions {
  /** In pages: the name of the outbox. Those of one name, in one origin, are one outbox. Default: the namespace and the hub. */
  name?: string | undefined;
  /** Elsewhere: the directory in which what waits is kept. One process owns it at a time. */
  directory?: string | undefined;
  /** How many events wait at most. Default: 100 000. */
  maxEvents?: number | undefined;
  /** How many bytes the waiting events have at most, with 64 for each. Default: 64 MiB. */
  maxBytes?: number | undefined;
  /** What becomes of an event that finds no room: it waits for some, or is refused at once. Default: `wait`. */
  whenFull?: "wait" | "refuse" | undefined;
  /** How long it waits. Default: a minute. */
  fullTimeoutMs?: number | undefined;
  /**
   * What an event has survived when `enqueue` resolves: `strict`, a power cut; `relaxed`, the end of the page or process, however it ends, but not that of
   * the machine. Default: `strict`.
   */
  durability?: "strict" | "relaxed" | undefined;
  /** How many events that can never be sent are kept to be looked at; of more, the oldest are dropped, and counted. Default: 1000. */
  maxDeadLetters?: number | undefined;
}

/** Where an event goes, and how it is encoded. */
export interface EnqueueOptions<T = Body> extends SendOptions, CallOptions {
  codec?: Codec<T> | undefined;
}

/** How an outbox is doing. */
export interface OutboxState {
  /** Events on disk that the service has not acknowledged. */
  readonly waitingEvents: number;
  readonly waitingBytes: number;
  /** How long the oldest of them has waited, by the wall clock. */
  readonly oldestAgeMs: number | undefined;
  /** Those among them that are being sent. */
  readonly inFlight: number;
  /** Events that the service has acknowledged since this was opened, whichever tab sent them. */
  readonly sent: number;
  /** Why nothing could be sent when that was tried last; undefined since something was. */
  readonly lastError: EventHubsError | undefined;
  /** Events that can never be sent and are kept to be looked at. */
  readonly deadLetters: number;
  /** Such events that were dropped, since there were too many. */
  readonly droppedDeadLetters: number;
  /** Whether this tab is the one that sends. */
  readonly isSending: boolean;
}

/** An event that can never be sent. */
export interface DeadLetter {
  /** What it is called in this outbox. */
  readonly id: number;
  readonly event: EventInput<Uint8Array>;
  /** The partition that was asked for. */
  readonly partitionId: string | undefined;
  readonly enqueuedAt: Date;
  readonly givenUpAt: Date;
  /** The error's code. */
  readonly code: string;
  /** What the error said. */
  readonly reason: string;
}

const OPTIONS: Record<string, Rule> = {
  name: "string",
  directory: "string",
  maxEvents: atLeastOne,
  maxBytes: atLeastOne,
  whenFull: [(value) => value === "wait" || value === "refuse", "'wait' or 'refuse'"],
  fullTimeoutMs: millis,
  durability: [(value) => value === "strict" || value === "relaxed", "'strict' or 'relaxed'"],
  maxDeadLetters: atLeastOne,
};
const ENQUEUE: Record<string, Rule> = { partitionKey: "string", partitionId: "string", codec: "object", signal };
const FLUSH: Record<string, Rule> = { timeoutMs: millis, signal };
const ENCODER = new TextEncoder();

/** What tabs tell each other. */
type Word =
  | { is: "kept" | "hurry" | "changed" }
  | { is: "sent"; count: number }
  | { is: "failed"; code: EventHubsError["code"]; message: string; retryable: boolean };

interface Order {
  events: Omit<Kept, "id">[];
  ends: number;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Takes events whether the service can be reached or not, keeps them on disk, and sends them when it can: at once, when the page comes online, when it is
 * opened again.
 *
 * ```ts
 * const producer = new ProducerClient(connectionString, "orders", { idempotent: true });
 * const outbox = await Outbox.open(producer);
 * await outbox.enqueue({ body: "21.5 °C", partitionKey: "device-7" }); // on disk, with or without a network
 * ```
 *
 * Events with the same partition key are stored in the order in which they were enqueued. With an idempotent producer an event is stored once, also when its
 * acknowledgement is lost or the page is closed before it comes; with another it may be stored twice. The producer is the outbox's: send nothing else with it,
 * and close it behind the outbox.
 *
 * Several tabs share one outbox: one of them sends (it holds a Web Lock), the others wake it; when it goes, another takes over at once.
 */
export class Outbox {
  readonly #journal: Journal;
  readonly #producer: ProducerClient;
  readonly #limits: Limits;
  readonly #fullTimeoutMs: number;
  readonly #maxLetters: number;
  readonly #bell = new Bell();
  readonly #closing = new AbortController();
  readonly #channel: BroadcastChannel | undefined;
  #orders: Order[] = [];
  #isKeeping = false;
  #pump: Pump | undefined;
  #pumping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #sent = 0;
  #lastError: EventHubsError | undefined;

  private constructor(producer: ProducerClient, journal: Journal, channel: BroadcastChannel | undefined, given: OutboxOptions) {
    const { maxEvents = 100_000, maxBytes = 64 * 1024 * 1024, whenFull = "wait", fullTimeoutMs = 60_000, maxDeadLetters = 1000 } = given;
    this.#producer = producer;
    this.#journal = journal;
    this.#channel = channel;
    this.#limits = { maxEvents, maxBytes };
    this.#fullTimeoutMs = whenFull === "refuse" ? 0 : fullTimeoutMs;
    this.#maxLetters = maxDeadLetters;
  }

  /**
   * Opens an outbox and begins to send what waits there.
   *
   * @throws EventHubsError `invalid-argument` when the directory belongs to another process (it says which), or when there is nothing to keep events in.
   */
  static async open(producer: ProducerClient, given?: OutboxOptions): Promise<Outbox> {
    const checked = options(given, OPTIONS, "Outbox.open");
    if (!(producer instanceof ProducerClient)) throw wrong("the first argument of Outbox.open", "a ProducerClient", producer);
    const { directory, durability = "strict" } = checked;
    if (directory !== undefined) {
      const outbox = new Outbox(producer, await FileJournal.open(directory, durability === "strict"), undefined, checked);
      outbox.#begin(undefined);
      return outbox;
    }
    const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
    if (typeof indexedDB === "undefined" || locks === undefined) {
      throw invalid("an outbox is kept in a 'directory', or in a page's IndexedDB, for which the page has to come over https (or from localhost)");
    }
    const name = `eventhubs-outbox:${checked.name ?? `${producer.namespace}/${producer.eventHub}`}`;
    const journal = new IndexedDbJournal(name, durability);
    const outbox = new Outbox(producer, journal, new BroadcastChannel(name), checked);
    // Whether the database can be used is known before anything is promised.
    await journal.totals();
    outbox.#begin({ locks, name });
    return outbox;
  }

  /**
   * Keeps an event and sees to it that it is sent. Resolves when it is on disk; calls that are under way at the same time share one write.
   *
   * @throws EventHubsError `quota-exceeded` when there is no room, after the time that the options say, or the disk is full; `invalid-argument`; `closed`.
   */
  async enqueue<T = Body>(event: EventInput<T> | T, given?: EnqueueOptions<T>): Promise<void> {
    const { codec, signal, ...route } = options(given, ENQUEUE, "enqueue");
    await this.#keep([keptOf(event, codec, route, 0)], signal);
  }

  /**
   * Keeps events, all or none. They need not end up in the same partition.
   *
   * @throws EventHubsError as `enqueue`; `eventIndex` says which event is to blame.
   */
  async enqueueAll<T = Body>(events: Iterable<EventInput<T> | T>, given?: EnqueueOptions<T>): Promise<void> {
    const { codec, signal, ...route } = options(given, ENQUEUE, "enqueueAll");
    const kept = Array.from(events, (event, index) => keptOf(event, codec, route, index));
    if (kept.length > 0) await this.#keep(kept, signal);
  }

  /**
   * Waits until all events that had been enqueued are sent, or are dead letters. Default of `timeoutMs`: a minute.
   *
   * @throws EventHubsError `timeout`, with the reason why nothing can be sent. The events wait on.
   */
  async flush(given?: CallOptions & { timeoutMs?: number | undefined }): Promise<void> {
    const { timeoutMs = 60_000, signal } = options(given, FLUSH, "flush");
    const ends = performance.now() + timeoutMs;
    const { last } = await this.#journal.ends();
    for (;;) {
      const { oldest } = await this.#journal.ends();
      if (oldest === undefined || oldest.id > last) return;
      const left = ends - performance.now();
      if (left <= 0) {
        const { events } = await this.#journal.totals();
        const why = this.#lastError === undefined ? "" : `: ${this.#lastError.message}`;
        throw new EventHubsError("timeout", `${events} events still wait after ${timeoutMs} ms${why}`, { operation: "flush", retryable: true });
      }
      // Tabs may go without a word, so it is looked at once in a while.
      await raced(this.#bell.wait(Math.min(left, 1000)), signal);
      this.#refuseClosed();
    }
  }

  /** How the outbox is doing. Asks nobody but the disk. */
  async state(): Promise<OutboxState> {
    this.#refuseClosed();
    const [totals, { oldest }, batches] = await Promise.all([this.#journal.totals(), this.#journal.ends(), this.#journal.batches()]);
    return {
      waitingEvents: totals.events,
      waitingBytes: totals.bytes,
      oldestAgeMs: oldest === undefined ? undefined : Math.max(0, Date.now() - oldest.at),
      inFlight: batches.reduce((sum, { events }) => sum + events.length, 0),
      sent: this.#sent,
      lastError: this.#lastError,
      deadLetters: totals.letters,
      droppedDeadLetters: totals.droppedLetters,
      isSending: this.#pump !== undefined,
    };
  }

  /** The events that can never be sent, oldest first. */
  async deadLetters(): Promise<DeadLetter[]> {
    return (await this.#journal.letters()).map(({ event, givenUpAt, code, reason }) => ({
      id: event.id,
      event: { ...event.meta, body: event.body },
      partitionId: event.partition,
      enqueuedAt: new Date(event.at),
      givenUpAt: new Date(givenUpAt),
      code,
      reason,
    }));
  }

  /** Forgets dead letters that have been looked at, by their ids. */
  async removeDeadLetters(ids: Iterable<number>): Promise<void> {
    await this.#journal.removeLetters([...ids]);
  }

  /** Stops sending here and lets go of the place. What waits is sent by another tab, or when the outbox is opened again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** The same as {@link close}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(shared: { locks: LockManager; name: string } | undefined): void {
    if (this.#channel !== undefined) this.#channel.onmessage = ({ data }) => this.#hear(data as Word);
    const target = globalThis as Partial<Pick<typeof globalThis, "addEventListener">>;
    const hurry = (): void => this.#say({ is: "hurry" });
    for (const occasion of shared === undefined ? [] : ["online", "pagehide"]) {
      target.addEventListener?.(occasion, hurry, { signal: this.#closing.signal });
    }
    const pump = async (): Promise<void> => {
      if (this.#closing.signal.aborted) return;
      this.#pump = new Pump(this.#journal, this.#producer, this.#maxLetters, {
        sent: (count) => this.#say({ is: "sent", count }),
        failed: ({ code, message, retryable }) => this.#say({ is: "failed", code, message, retryable }),
        buried: () => this.#say({ is: "changed" }),
      });
      await this.#pump.run();
    };
    // Held as long as it sends; given to the next tab when this one goes, however it goes.
    const pumping = shared === undefined ? pump() : shared.locks.request(shared.name, { signal: this.#closing.signal }, pump);
    this.#pumping = pumping.then(
      () => undefined,
      () => undefined,
    );
  }

  /** Tells the other tabs, and this one. */
  #say(word: Word): void {
    if (this.#closing.signal.aborted) return;
    this.#channel?.postMessage(word);
    this.#hear(word);
  }

  #hear(word: Word): void {
    if (word.is === "kept") this.#pump?.wake();
    if (word.is === "hurry") this.#pump?.hurry();
    if (word.is === "failed") this.#lastError = new EventHubsError(word.code, word.message, { retryable: word.retryable });
    if (word.is === "sent") {
      this.#sent += word.count;
      this.#lastError = undefined;
    }
    if (word.is !== "kept") this.#bell.ring();
  }

  #keep(events: Omit<Kept, "id">[], signal: AbortSignal | undefined): Promise<void> {
    this.#refuseClosed();
    const bytes = events.reduce((sum, event) => sum + costOf(event), 0);
    const { maxEvents, maxBytes } = this.#limits;
    if (events.length > maxEvents || bytes > maxBytes) {
      throw invalid(`${events.length} events of ${bytes} bytes are more than the outbox ever holds (${maxEvents} events, ${maxBytes} bytes)`);
    }
    const kept = new Promise<void>((resolve, reject) => {
      this.#orders.push({ events, ends: performance.now() + this.#fullTimeoutMs, resolve, reject });
      if (!this.#isKeeping) void this.#work();
    });
    return raced(kept, signal);
  }

  /** One write at a time; everything that comes meanwhile goes with the next. */
  async #work(): Promise<void> {
    this.#isKeeping = true;
    while (this.#orders.length > 0) {
      const group = this.#orders.splice(0);
      const isKept = await this.#append(group);
      if (isKept !== false) continue;
      // Not all of them find room: one after the other, in their order.
      while (group[0] !== undefined) {
        const [order] = group;
        if ((await this.#append([order])) !== false) {
          group.shift();
          continue;
        }
        const left = order.ends - performance.now();
        if (left <= 0 || this.#closing.signal.aborted) {
          order.reject(await this.#full());
          group.shift();
          continue;
        }
        await this.#bell.wait(Math.min(left, 1000));
      }
    }
    this.#isKeeping = false;
  }

  /** False when there is no room. */
  async #append(orders: readonly Order[]): Promise<boolean | undefined> {
    try {
      this.#refuseClosed();
      const isKept = await this.#journal.append(
        orders.flatMap(({ events }) => events),
        this.#limits,
      );
      if (!isKept) return false;
    } catch (error) {
      for (const { reject } of orders) reject(error);
      return undefined;
    }
    for (const { resolve } of orders) resolve();
    this.#say({ is: "kept" });
    return true;
  }

  async #full(): Promise<EventHubsError> {
    if (this.#closing.signal.aborted) return closed();
    const { events, bytes } = await this.#journal.totals();
    const why = this.#lastError === undefined ? "" : `; nothing can be sent: ${this.#lastError.message}`;
    const message = `the outbox is full: ${events} events of ${bytes} bytes wait to be sent${why}`;
    return new EventHubsError("quota-exceeded", message, { operation: "enqueue", entity: this.#journal.place, retryable: true });
  }

  #refuseClosed(): void {
    if (this.#closing.signal.aborted) throw closed();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#bell.ring();
    this.#pump?.stop();
    await this.#pumping;
    this.#channel?.close();
    await this.#journal.close();
  }
}

function closed(): EventHubsError {
  return new EventHubsError("closed", "the outbox was closed");
}

function keptOf(given: unknown, codec: Encoder | undefined, route: SendOptions, index: number): Omit<Kept, "id"> {
  const { body, meta } = outgoing(given, codec, index);
  const own = (meta as { partitionKey?: string } | undefined)?.partitionKey;
  if (route.partitionKey !== undefined && own !== undefined && own !== route.partitionKey) {
    throw invalid(`partition key '${route.partitionKey}' is asked for, but the event has '${own}'`, index);
  }
  const key = own ?? route.partitionKey;
  if (route.partitionId !== undefined) {
    text(route.partitionId, "the partition's id");
    if (key !== undefined) throw invalid("both a partition and a partition key are given: leave one out, as each decides about the partition", index);
  }
  const whole = key === own ? meta : { ...meta, partitionKey: key };
  return {
    at: Date.now(),
    key,
    partition: route.partitionId,
    alone: false,
    // The caller may change what it gave as soon as it has called.
    body: typeof body === "string" ? ENCODER.encode(body) : body.slice(),
    meta: whole === undefined ? undefined : copied(whole, index),
  };
}

function copied(meta: object, index: number): object {
  try {
    return structuredClone(meta);
  } catch (error) {
    throw Object.assign(invalid(`the event has properties that cannot be kept: ${String((error as Error).message)}`, index), { cause: error });
  }
}
