import { addTo, type RawBatch } from "./batch.js";
import type { Body, Codec } from "./codec.js";
import { EventHubsError } from "./error.js";
import type { EventInput, SendOptions } from "./event.js";
import { abortReason, type CallOptions, raced } from "./internal/call.js";
import { Channel } from "./internal/channel.js";
import { atLeastOne, invalid, millis, options, type Rule, signal, text } from "./internal/check.js";
import { type Encoder, outgoing } from "./internal/outgoing.js";
import { Bell } from "./internal/pause.js";
import type { Connection, ProducerOptions } from "./options.js";
import { ProducerClient } from "./producer.js";
import { partitionFor } from "./wasm/eventhubs.js";

const BUFFERING: Record<string, Rule> = {
  maxWaitTimeMs: millis,
  maxBufferedEventsPerPartition: atLeastOne,
  maxBufferedBytes: atLeastOne,
};
const ENQUEUE: Record<string, Rule> = { partitionKey: "string", partitionId: "string", codec: "object", signal };
const CALL: Record<string, Rule> = { signal };
const CLOSE: Record<string, Rule> = { ...CALL, flush: "boolean" };

/** Batches whose end nobody has read yet, at most. */
const MOST_OUTCOMES = 1024;
/** How soon the hub is not looked at again for a partition that it did not have. */
const LOOK_AGAIN_MS = 10_000;
const ENCODER = new TextEncoder();

/** How events are gathered, besides what producers are told. */
export interface BufferedProducerOptions extends ProducerOptions {
  /** How long an event waits for others to be sent with. Default: 1000. */
  maxWaitTimeMs?: number | undefined;
  /** How many events of a partition there may be that are not acknowledged; whoever enqueues more waits. Default: 1500. */
  maxBufferedEventsPerPartition?: number | undefined;
  /** How many bytes their bodies may have; a larger one is taken when there is no other. Default: 4 MiB. */
  maxBufferedBytes?: number | undefined;
}

/** Where an event goes. By default to the partition of its key; without a key, to one after the other. */
export interface EnqueueOptions extends SendOptions, CallOptions {}

/** Options of `close`. */
export interface BufferedCloseOptions extends CallOptions {
  /** Whether what waits is sent first. Default: true. */
  flush?: boolean | undefined;
}

/** What became of events that were sent together. */
export interface SendOutcome {
  readonly partitionId: string;
  /** As they were enqueued, in order. */
  readonly events: readonly unknown[];
  /** Why they were not stored; undefined when they were. */
  readonly error: EventHubsError | undefined;
}

/** What becomes of an event. */
export class Receipt {
  #end: { partitionId: string } | { error: unknown } | undefined;
  #stored: Promise<string> | undefined;
  #settle: (() => void) | undefined;

  /**
   * Resolves to the partition that the event was stored in, and rejects with why it was not. Nothing happens when nobody asks: a failure
   * that nobody waits for is no unhandled one.
   */
  get stored(): Promise<string> {
    this.#stored ??= new Promise((resolve, reject) => {
      this.#settle = () => {
        if (this.#end === undefined) return;
        if ("error" in this.#end) reject(this.#end.error);
        else resolve(this.#end.partitionId);
      };
      this.#settle();
    });
    return this.#stored;
  }

  /** @internal */
  static end(receipt: Receipt, end: { partitionId: string } | { error: unknown }): void {
    receipt.#end = end;
    receipt.#settle?.();
  }
}

interface Entry {
  readonly given: unknown;
  readonly body: Uint8Array;
  readonly meta: object | undefined;
  readonly receipt: Receipt;
}

/**
 * Gathers events in the background and sends them in batches, each partition's in order.
 *
 * ```ts
 * await using producer = new BufferedProducerClient(connectionString, "orders", { idempotent: true });
 * const receipt = await producer.enqueue({ body: "a reading", partitionKey: "device-7" });
 * console.log("stored in partition", await receipt.stored);
 * ```
 *
 * Closing it sends what waits.
 */
export class BufferedProducerClient {
  readonly #lanes = new Map<string, Channel<Entry, Filling>>();
  readonly #sender: Sender;
  readonly #buffering: BufferedProducerOptions;
  readonly #listeners = new Set<{ waiting: SendOutcome[]; missed: number; bell: Bell }>();
  #partitionIds: Promise<string[]> | undefined;
  #lookedAgain = -Infinity;
  #turn = 0;
  #closed: Promise<void> | undefined;
  #isDropping = false;

  /** Checks its arguments, and does nothing else yet. */
  constructor(connectionString: string, eventHub?: string, options?: BufferedProducerOptions);
  constructor(connectionString: string, options?: BufferedProducerOptions);
  constructor(connection: Connection & BufferedProducerOptions);
  constructor(...given: unknown[]) {
    this.#sender = new Sender(...(given as [string]));
    this.#buffering = Object.assign({}, ...given.filter((each) => typeof each === "object")) as BufferedProducerOptions;
  }

  /** The producer that it sends through: for the hub's properties, status, health. It is closed together with this one. */
  get producer(): ProducerClient {
    return this.#sender;
  }

  /**
   * Resolves to the event's receipt when there is room for it.
   *
   * @throws EventHubsError `not-found` when there is no such partition, `closed`, `invalid-argument`.
   */
  async enqueue<T = Body>(event: EventInput<T> | T, given?: EnqueueOptions & { codec?: Codec<T> | undefined }): Promise<Receipt> {
    return this.#enqueue(event, given, 0);
  }

  /**
   * Enqueues events one after the other. Resolves to their receipts when there is room for the last.
   *
   * @throws EventHubsError as {@link enqueue}; `eventIndex` says which event is to blame. Those before it are enqueued.
   */
  async enqueueAll<T = Body>(
    events: Iterable<EventInput<T> | T>,
    given?: EnqueueOptions & { codec?: Codec<T> | undefined },
  ): Promise<Receipt[]> {
    const receipts: Receipt[] = [];
    for (const event of events) {
      try {
        receipts.push(await this.#enqueue(event, given, receipts.length));
      } catch (error) {
        if (error instanceof EventHubsError && error.eventIndex === undefined) Object.assign(error, { eventIndex: receipts.length });
        throw error;
      }
    }
    return receipts;
  }

  /** Sends what waits, at once. Resolves when it has been stored, or could not be: receipts and {@link outcomes} know which. */
  async flush(given?: CallOptions): Promise<void> {
    const { signal } = options(given, CALL, "flush");
    await Promise.all([...this.#lanes.values()].map((lane) => lane.flush(signal)));
  }

  /** Sends what waits, unless told not to, and closes the connection. Receipts of what was not sent fail with `closed`. */
  close(given?: BufferedCloseOptions): Promise<void> {
    const { flush = true, signal } = options(given, CLOSE, "close");
    this.#closed ??= this.#close(flush, signal);
    return this.#closed;
  }

  /** The same as {@link close}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How many events of a partition are not acknowledged. */
  bufferedEventCount(partitionId: string): number {
    return this.#lanes.get(partitionId)?.count ?? 0;
  }

  /** How many events are not acknowledged. */
  totalBufferedEventCount(): number {
    return [...this.#lanes.values()].reduce((total, lane) => total + lane.count, 0);
  }

  /**
   * What becomes of batches from now on, until the client is closed. Whoever reads too slowly misses the oldest ones, and is told by an
   * error then.
   */
  outcomes(given?: CallOptions): AsyncIterableIterator<SendOutcome> {
    const { signal } = options(given, CALL, "outcomes");
    const own = { waiting: [] as SendOutcome[], missed: 0, bell: new Bell() };
    // Of one that is closed there is nothing more to be heard.
    if (!this.#isDropping) this.#listeners.add(own);
    const ring = (): void => own.bell.ring();
    signal?.addEventListener("abort", ring);
    const leave = (): void => {
      this.#listeners.delete(own);
      signal?.removeEventListener("abort", ring);
    };
    const next = async (): Promise<IteratorResult<SendOutcome>> => {
      for (;;) {
        if (signal?.aborted) {
          leave();
          throw abortReason(signal);
        }
        const { missed } = own;
        own.missed = 0;
        if (missed > 0) throw new EventHubsError("quota-exceeded", `${missed} outcomes were not read in time: read them faster`);
        const outcome = own.waiting.shift();
        if (outcome !== undefined) return { done: false, value: outcome };
        if (!this.#listeners.has(own)) return { done: true, value: undefined };
        await own.bell.wait();
      }
    };
    return {
      next,
      return: async () => (leave(), { done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async #enqueue(
    event: unknown,
    given: (EnqueueOptions & { codec?: Encoder | undefined }) | undefined,
    index: number,
  ): Promise<Receipt> {
    const { codec, signal, partitionId, partitionKey } = options(given, ENQUEUE, "enqueue");
    if (this.#closed !== undefined) throw closed();
    if (event === undefined) throw invalid("enqueue needs an event");
    const { body, meta } = outgoing(event, codec, index);
    const own = (meta as { partitionKey?: string } | undefined)?.partitionKey;
    if (partitionKey !== undefined && own !== undefined && own !== partitionKey) {
      throw invalid(`partition key '${partitionKey}' is asked for, but the event has '${own}'`);
    }
    const key = partitionKey ?? own;
    if (partitionId !== undefined && key !== undefined) {
      throw invalid(`both partition '${partitionId}' and partition key '${key}' are given: leave one out, as each decides about the partition`);
    }
    const lane = this.#lane(await this.#choose(partitionId, key, signal));
    const receipt = new Receipt();
    const bytes = typeof body === "string" ? ENCODER.encode(body) : body;
    const entry = { given: event, body: bytes, meta: key === own ? meta : { ...meta, partitionKey: key }, receipt };
    if (this.#closed !== undefined) throw closed();
    await lane.enqueue(entry, signal);
    return receipt;
  }

  async #choose(partitionId: string | undefined, key: string | undefined, signal: AbortSignal | undefined): Promise<string> {
    this.#partitionIds ??= this.#look();
    let ids = await raced(this.#partitionIds, signal);
    if (partitionId !== undefined && !ids.includes(partitionId)) ids = await raced(this.#lookAgain(), signal);
    if (partitionId !== undefined) {
      if (ids.includes(partitionId)) return partitionId;
      throw new EventHubsError("not-found", `there is no partition '${partitionId}': there are ${ids.join(", ")}`, {
        operation: "enqueue for",
        entity: this.#sender.eventHub,
      });
    }
    const index = key !== undefined ? partitionFor(key, ids.length) : this.#turn++ % ids.length;
    return text(ids[index], "the partition's id");
  }

  /** A hub may get more partitions; it is not asked all the time for one that it does not have. */
  #lookAgain(): Promise<string[]> {
    if (this.#partitionIds === undefined || performance.now() >= this.#lookedAgain + LOOK_AGAIN_MS) {
      this.#lookedAgain = performance.now();
      this.#partitionIds = this.#look();
    }
    return this.#partitionIds;
  }

  async #look(): Promise<string[]> {
    try {
      return await this.#sender.partitionIds();
    } catch (error) {
      // Another call may fare better.
      this.#partitionIds = undefined;
      throw error;
    }
  }

  #lane(partitionId: string): Channel<Entry, Filling> {
    const known = this.#lanes.get(partitionId);
    if (known !== undefined) return known;
    const { maxWaitTimeMs = 1000, maxBufferedEventsPerPartition = 1500, maxBufferedBytes = 4 * 1024 * 1024 } = this.#buffering;
    const sender = this.#sender;
    const lane = new Channel<Entry, Filling>({
      capacity: maxBufferedEventsPerPartition,
      bytes: { capacity: maxBufferedBytes, of: ({ body }) => body.byteLength },
      maxWaitMs: maxWaitTimeMs,
      batch: async () => new Filling(await sender.keyedBatch(partitionId)),
      send: async ({ raw }) => {
        try {
          await sender.sendRaw(raw, undefined);
        } finally {
          raw.free();
        }
      },
      drop: ({ raw }) => raw.free(),
      succeeded: (entries) => this.#tell(partitionId, entries, undefined),
      failed: (entries, error) => this.#tell(partitionId, entries, this.#isDropping ? closed() : (error as EventHubsError)),
      tooLarge: ({ raw }) => new EventHubsError("message-too-large", `the event is larger than the ${raw.maxSize} bytes of a batch`),
      aborted: (signal) => abortReason(signal as AbortSignal),
    });
    this.#lanes.set(partitionId, lane);
    return lane;
  }

  #tell(partitionId: string, entries: Entry[], error: EventHubsError | undefined): void {
    for (const { receipt } of entries) Receipt.end(receipt, error === undefined ? { partitionId } : { error });
    if (this.#listeners.size === 0) return;
    const outcome = { partitionId, events: entries.map(({ given }) => given), error };
    for (const own of this.#listeners) {
      own.waiting.push(outcome);
      if (own.waiting.length > MOST_OUTCOMES) {
        own.waiting.shift();
        own.missed += 1;
      }
      own.bell.ring();
    }
  }

  async #close(flush: boolean, signal: AbortSignal | undefined): Promise<void> {
    try {
      if (flush) await this.flush({ signal });
    } finally {
      this.#isDropping = true;
      for (const [partitionId, lane] of this.#lanes) {
        const dropped = lane.close(closed());
        if (dropped.length > 0) this.#tell(partitionId, dropped, closed());
      }
      const listeners = [...this.#listeners];
      this.#listeners.clear();
      for (const { bell } of listeners) bell.ring();
      await this.#sender.close();
    }
  }
}

/** A batch that takes entries. */
class Filling {
  readonly raw: RawBatch;

  constructor(raw: RawBatch) {
    this.raw = raw;
  }

  tryAdd({ body, meta }: Entry): boolean {
    return addTo(this.raw, body, meta);
  }
}

/** A producer that takes the options of both. */
class Sender extends ProducerClient {
  static override readonly kind = { what: "a BufferedProducerClient", own: { ...ProducerClient.kind.own, ...BUFFERING } };
}

function closed(): EventHubsError {
  return new EventHubsError("closed", "the buffered producer was closed", { operation: "enqueue for" });
}
