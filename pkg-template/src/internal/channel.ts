// The events that wait for one partition.

import { pause } from "./pause.js";

/** A batch that is being filled. */
interface Filling<E> {
  /** False when there is no room for the event. */
  tryAdd(event: E): boolean;
}

/** What a channel needs. */
export interface ChannelOptions<E, B extends Filling<E>> {
  /** Events that may wait or be on their way. */
  readonly capacity: number;
  /** As many bytes; not counted where it is absent. */
  readonly bytes?: { readonly capacity: number; of(event: E): number } | undefined;
  readonly maxWaitMs: number;
  /** Makes an empty batch. */
  batch(): Promise<B>;
  /** Sends one; it is used no longer. */
  send(batch: B): Promise<void>;
  /** Lets go of one that is not sent. */
  drop?(batch: B): void;
  succeeded(events: E[]): void;
  failed(events: E[], error: unknown): void;
  /** What an event fails with that fits no batch. */
  tooLarge(batch: B): unknown;
  /** What waiting fails with that was given up on. */
  aborted(signal: Signal): unknown;
}

/** An `AbortSignal`, or what is like one. */
export interface Signal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Takes events, and sends them when there are enough, or when the first has waited long enough. */
export class Channel<E, B extends Filling<E>> {
  readonly #options: ChannelOptions<E, B>;
  readonly #queue: E[] = [];
  /** Those that wait for room. */
  readonly #line: { size: number; resolve(): void; reject(error: unknown): void }[] = [];
  /** Those that wait for everything to be sent. */
  #flushes: (() => void)[] = [];
  /** In the queue, and on their way. */
  #count = 0;
  #bytes = 0;
  #isSending = false;
  #wake = new AbortController();
  #ended: unknown;

  constructor(options: ChannelOptions<E, B>) {
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  async enqueue(event: E, signal: Signal | undefined): Promise<void> {
    const size = this.#sizeOf(event);
    // The place is taken before anybody else can be asked to wait.
    if (this.#ended === undefined && this.#line.length === 0 && this.#hasRoom(size)) this.#take(size);
    else await this.#room(size, signal);
    this.#queue.push(event);
    this.#stir();
    if (!this.#isSending) void this.#send();
  }

  /** Resolves when nothing waits any more. */
  flush(signal: Signal | undefined): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    if (signal?.aborted) return Promise.reject(this.#options.aborted(signal));
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(this.#options.aborted(signal as Signal));
      signal?.addEventListener("abort", abort);
      this.#flushes.push(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      this.#stir();
    });
  }

  /** What waits is dropped, and returned. */
  close(error: unknown): E[] {
    this.#ended = error;
    const dropped = this.#queue.splice(0);
    this.#count = 0;
    this.#bytes = 0;
    for (const { reject } of this.#line.splice(0)) reject(error);
    this.#flushed();
    this.#stir();
    return dropped;
  }

  /** While everything is being sent nothing is taken: that would not end. */
  #hasRoom(size: number): boolean {
    const { capacity, bytes } = this.#options;
    const fits = bytes === undefined || this.#count === 0 || this.#bytes + size <= bytes.capacity;
    return fits && this.#count < capacity && this.#flushes.length === 0;
  }

  #sizeOf(event: E): number {
    return this.#options.bytes?.of(event) ?? 0;
  }

  #take(size: number): void {
    this.#count += 1;
    this.#bytes += size;
  }

  #room(size: number, signal: Signal | undefined): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(this.#options.aborted(signal));
    return new Promise((resolve, reject) => {
      const leave = (): void => signal?.removeEventListener("abort", abort);
      const abort = (): void => {
        leave();
        const place = this.#line.indexOf(waiting);
        if (place >= 0) this.#line.splice(place, 1);
        reject(this.#options.aborted(signal as Signal));
      };
      const waiting = {
        size,
        resolve: (): void => (leave(), resolve()),
        reject: (error: unknown): void => (leave(), reject(error)),
      };
      signal?.addEventListener("abort", abort);
      this.#line.push(waiting);
      this.#stir();
    });
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    const { failed, succeeded } = this.#options;
    while (this.#queue.length > 0 && this.#ended === undefined) {
      let events: E[] = [];
      try {
        const batch = await this.#options.batch();
        events = await this.#fill(batch);
        if (events.length === 0 || this.#ended !== undefined) {
          this.#options.drop?.(batch);
          // Taken already, so `close` could not return them.
          if (events.length > 0) failed(events, this.#ended);
          continue;
        }
        await this.#options.send(batch);
        this.#done(events);
        succeeded(events);
      } catch (error) {
        // Without a batch nothing that waits can be sent.
        if (events.length === 0) events = this.#queue.splice(0);
        this.#done(events);
        if (events.length > 0) failed(events, error);
      }
    }
    this.#isSending = false;
  }

  /** The events that fit, as they come, until it is time. */
  async #fill(batch: B): Promise<E[]> {
    const { capacity, maxWaitMs, failed } = this.#options;
    const taken: E[] = [];
    const deadline = performance.now() + maxWaitMs;
    while (taken.length < capacity && this.#ended === undefined) {
      const event = this.#queue[0];
      if (event === undefined) {
        const left = deadline - performance.now();
        // Who waits for room waits for what is taken here.
        if (this.#flushes.length > 0 || this.#line.length > 0 || left <= 0 || taken.length === 0) break;
        this.#wake = new AbortController();
        await pause(left, this.#wake.signal);
        continue;
      }
      try {
        if (batch.tryAdd(event)) taken.push(event);
        else if (taken.length > 0) break;
        else throw this.#options.tooLarge(batch);
        this.#queue.shift();
      } catch (error) {
        // It alone cannot be sent.
        this.#queue.shift();
        this.#done([event]);
        failed([event], error);
      }
    }
    return taken;
  }

  /** These events wait no longer. */
  #done(events: E[]): void {
    if (this.#ended !== undefined) return;
    this.#count -= events.length;
    for (const event of events) this.#bytes -= this.#sizeOf(event);
    if (this.#count === 0) this.#flushed();
    for (let next = this.#line[0]; next !== undefined && this.#hasRoom(next.size); next = this.#line[0]) {
      this.#line.shift();
      this.#take(next.size);
      next.resolve();
    }
  }

  #flushed(): void {
    const flushes = this.#flushes;
    this.#flushes = [];
    for (const resolve of flushes) resolve();
  }

  #stir(): void {
    this.#wake.abort();
  }
}
