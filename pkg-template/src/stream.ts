import type { Codec } from "./codec.js";
import { EventHubsError } from "./error.js";
import { abortReason, call, type CallOptions, raced } from "./internal/call.js";
import { atLeastOne, millis, options, type Rule, signal } from "./internal/check.js";
import { Pace } from "./internal/pace.js";
import { type LastEnqueued, ReceivedEvent, receivedEvents } from "./received.js";
import type { Hub, Stream } from "./wasm/eventhubs.js";

/** @internal */
export type RawStream = Stream;

/** How a batch is waited for. */
export interface BatchOptions {
  /** The most events of a batch. Default: 1000. */
  maxCount?: number | undefined;
  /** How long to wait for the first event. Default: for ever. */
  maxWaitMs?: number | undefined;
}

const BATCHES: Record<string, Rule> = { maxCount: atLeastOne, maxWaitMs: millis };
const NEXT: Record<string, Rule> = { ...BATCHES, signal };
const READY: Record<string, Rule> = { signal };
/** Few enough that a loop over them does not hold up a page, many enough that a call for each batch costs nothing. */
const MAX_COUNT = 1000;

/**
 * Events as they arrive, of one partition or of several. Reading returns credit to the service, so that what is not read is not sent.
 * When a connection breaks, the stream goes on behind the last event that was read: nothing is lost, nothing repeated.
 */
export class EventStream<T = Uint8Array> implements AsyncIterableIterator<ReceivedEvent<T>> {
  readonly #source: Source<T>;
  #opened: Promise<RawStream> | undefined;
  #raw: RawStream | undefined;
  #partitionIds: readonly string[] = [];
  readonly #end = new AbortController();
  #closed: Promise<void> | undefined;
  /** The batch that single events are taken from. */
  #current: ReceivedEvent<T>[] = [];
  #next = 0;
  #fetching: Promise<void> | undefined;
  readonly #pace = new Pace();

  /** @internal */
  constructor(source: Source<T>) {
    this.#source = source;
    source.signal?.addEventListener("abort", this.#aborted);
  }

  /**
   * Resolves when the partitions are attached: what is enqueued from then on is not missed.
   *
   * @throws EventHubsError
   */
  async ready(given?: CallOptions): Promise<this> {
    const { signal } = options(given, READY, "ready");
    await this.#open(signal);
    return this;
  }

  /**
   * The events that have arrived, at least one; none when there is none for `maxWaitMs`.
   *
   * @throws EventHubsError. After `ownership-lost` and other errors that are not retryable nothing follows.
   */
  async nextBatch(given?: BatchOptions & CallOptions): Promise<ReceivedEvent<T>[]> {
    const { maxCount = MAX_COUNT, maxWaitMs = Infinity, signal } = options(given, NEXT, "nextBatch");
    if (this.#next < this.#current.length) return this.#taken(maxCount);
    const raw = await this.#open(signal);
    const ended = this.#signal(signal);
    const packed = await call<[Uint8Array, Float64Array] | undefined>(ended, (ticket) => raw.nextBatch(maxCount, maxWaitMs, ticket));
    if (packed === undefined) return [];
    if (this.#pace.isOver(Infinity)) await this.#pace.rest();
    return receivedEvents(packed, { partitionIds: this.#partitionIds, codec: this.#source.codec });
  }

  /** The events as they arrive, in batches. Ends when the stream is closed. */
  async *batches(given?: BatchOptions): AsyncGenerator<ReceivedEvent<T>[], void, undefined> {
    const how = options(given, BATCHES, "batches");
    for (;;) {
      const batch = await this.#untilClosed(() => this.nextBatch(how));
      if (batch === undefined) return;
      yield batch;
    }
  }

  /** One event after the other; ends when the stream is closed. */
  next(): Promise<IteratorResult<ReceivedEvent<T>, undefined>> {
    const event = this.#current[this.#next];
    if (event !== undefined && !this.#pace.isOver()) {
      this.#next += 1;
      return Promise.resolve({ done: false, value: event });
    }
    return this.#nextOfNextBatch();
  }

  /** What `break` in a loop does: closes the stream. */
  async return(): Promise<IteratorResult<ReceivedEvent<T>, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as a `ReadableStream`, which reads ahead by one event. Cancelling it closes the stream. */
  readable(): ReadableStream<ReceivedEvent<T>> {
    return new ReadableStream<ReceivedEvent<T>>({
      pull: async (controller) => {
        const { done, value } = await this.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => this.close(),
    });
  }

  /** The newest event of a partition, as the service last told; with `trackLastEnqueued` only. */
  lastEnqueued(partitionId: string): LastEnqueued | undefined {
    const told = this.#raw?.lastEnqueued(partitionId) as [number, string, number, number] | undefined;
    if (told === undefined) return undefined;
    const [sequenceNumber, offset, enqueued, retrieved] = told;
    return { sequenceNumber, offset, enqueuedTime: new Date(enqueued), retrievedAt: new Date(retrieved) };
  }

  /** The partitions that it reads, once it is attached. */
  get partitionIds(): readonly string[] {
    return this.#partitionIds;
  }

  /** Stops reading: loops end, calls that wait fail with `closed`. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** The same as {@link close}: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #taken(maxCount: number): ReceivedEvent<T>[] {
    const taken = this.#current.slice(this.#next, this.#next + maxCount);
    this.#next += taken.length;
    return taken;
  }

  async #nextOfNextBatch(): Promise<IteratorResult<ReceivedEvent<T>, undefined>> {
    if (this.#next < this.#current.length) await this.#pace.rest();
    while (this.#next >= this.#current.length) {
      if (this.#closed !== undefined && !this.#source.signal?.aborted) return { done: true, value: undefined };
      // Several calls may wait at the same time: one of them fetches.
      this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
      const isOver = await this.#untilClosed(async () => {
        await this.#fetching;
        return true;
      });
      if (isOver === undefined) return { done: true, value: undefined };
    }
    return this.next();
  }

  async #fetch(): Promise<void> {
    const batch = await this.nextBatch();
    this.#current = batch;
    this.#next = 0;
  }

  /** Undefined when the stream was closed meanwhile by its owner. */
  async #untilClosed<R>(work: () => Promise<R>): Promise<R | undefined> {
    if (this.#closed !== undefined) return undefined;
    try {
      return await work();
    } catch (error) {
      if (this.#source.signal?.aborted) throw abortReason(this.#source.signal);
      if (this.#closed !== undefined) return undefined;
      throw error;
    }
  }

  async #open(signal: AbortSignal | undefined): Promise<RawStream> {
    for (const each of [this.#source.signal, signal]) if (each?.aborted) throw abortReason(each);
    if (this.#closed !== undefined) throw closed();
    this.#opened ??= this.#attach().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return raced(this.#opened, signal);
  }

  async #attach(): Promise<RawStream> {
    const signal = this.#end.signal;
    const consumer = await this.#source.consumer(signal);
    const raw = await call<RawStream>(signal, (ticket) => consumer.open(this.#source.reading, ticket));
    this.#partitionIds = raw.partitionIds as string[];
    this.#raw = raw;
    return raw;
  }

  /** Ends a call when the stream is closed, or when its own signal says so. */
  #signal(own: AbortSignal | undefined): AbortSignal {
    return own === undefined ? this.#end.signal : AbortSignal.any([own, this.#end.signal]);
  }

  #aborted = (): void => {
    void this.close();
  };

  async #close(): Promise<void> {
    this.#source.signal?.removeEventListener("abort", this.#aborted);
    this.#end.abort(closed());
    this.#current = [];
    const raw = await this.#opened?.catch(() => undefined);
    this.#raw = undefined;
    if (raw === undefined) return;
    await raw.close();
  }
}

/** Where a stream's events come from. @internal */
export interface Source<T> {
  consumer(signal: AbortSignal | undefined): Promise<Hub>;
  /** For the engine. */
  readonly reading: Uint8Array;
  readonly codec: Codec<T>;
  readonly signal: AbortSignal | undefined;
}

function closed(): EventHubsError {
  return new EventHubsError("closed", "the stream was closed");
}
