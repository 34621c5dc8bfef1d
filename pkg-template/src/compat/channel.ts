// The events that wait for one partition.

import type { AmqpAnnotatedMessage } from "./amqp.js";
import { pause } from "../internal/pause.js";
import { AbortError, messagingError } from "./errors.js";
import type { EventHubProducerClient } from "./producer.js";
import type { AbortSignalLike, EventData, EventDataBatch } from "./types.js";

type Outgoing = EventData | AmqpAnnotatedMessage;

/** What a channel needs. */
export interface ChannelOptions {
  readonly partitionId: string;
  readonly capacity: number;
  readonly maxWaitMs: number;
  readonly producer: EventHubProducerClient;
  succeeded(events: Outgoing[]): void;
  failed(events: Outgoing[], error: Error): void;
}

/** Takes events, and sends them when there are enough, or when the first has waited long enough. */
export class Channel {
  readonly #options: ChannelOptions;
  readonly #queue: Outgoing[] = [];
  /** Those that wait for room. */
  readonly #line: { resolve(): void; reject(error: Error): void }[] = [];
  /** Those that wait for everything to be sent. */
  #flushes: (() => void)[] = [];
  /** In the queue, and on their way. */
  #count = 0;
  #isSending = false;
  #wake = new AbortController();
  #ended: Error | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  async enqueue(event: Outgoing, signal: AbortSignalLike | undefined): Promise<void> {
    // The place is taken before anybody else can be asked to wait.
    if (this.#hasRoom && this.#line.length === 0) this.#count += 1;
    else await this.#room(signal);
    this.#queue.push(event);
    this.#stir();
    if (!this.#isSending) void this.#send();
  }

  /** Resolves when nothing waits any more. */
  flush(signal: AbortSignalLike | undefined): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    if (signal?.aborted) return Promise.reject(new AbortError());
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(new AbortError());
      signal?.addEventListener("abort", abort);
      this.#flushes.push(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      this.#stir();
    });
  }

  /** What waits is dropped. */
  close(error: Error): void {
    this.#ended = error;
    this.#queue.length = 0;
    this.#count = 0;
    for (const { reject } of this.#line.splice(0)) reject(error);
    this.#flushed();
    this.#stir();
  }

  /** While everything is being sent nothing is taken: that would not end. */
  get #hasRoom(): boolean {
    return this.#count < this.#options.capacity && this.#flushes.length === 0;
  }

  #room(signal: AbortSignalLike | undefined): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(new AbortError());
    return new Promise((resolve, reject) => {
      const leave = (): void => signal?.removeEventListener("abort", abort);
      const abort = (): void => {
        leave();
        const place = this.#line.indexOf(waiting);
        if (place >= 0) this.#line.splice(place, 1);
        reject(new AbortError());
      };
      const waiting = {
        resolve: (): void => (leave(), resolve()),
        reject: (error: Error): void => (leave(), reject(error)),
      };
      signal?.addEventListener("abort", abort);
      this.#line.push(waiting);
    });
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    const { producer, partitionId, failed, succeeded } = this.#options;
    while (this.#queue.length > 0 && this.#ended === undefined) {
      let events: Outgoing[] = [];
      try {
        const batch = await producer.createBatch({ partitionId });
        events = await this.#fill(batch);
        if (events.length === 0 || this.#ended !== undefined) continue;
        await producer.sendBatch(batch);
        this.#done(events.length);
        succeeded(events);
      } catch (error) {
        if (this.#ended !== undefined) break;
        // Without a batch nothing that waits can be sent.
        if (events.length === 0) events = this.#queue.splice(0);
        this.#done(events.length);
        failed(events, error as Error);
      }
    }
    this.#isSending = false;
  }

  /** The events that fit, as they come, until it is time. */
  async #fill(batch: EventDataBatch): Promise<Outgoing[]> {
    const { capacity, maxWaitMs, failed } = this.#options;
    const taken: Outgoing[] = [];
    const deadline = performance.now() + maxWaitMs;
    while (taken.length < capacity && this.#ended === undefined) {
      const event = this.#queue[0];
      if (event === undefined) {
        const left = deadline - performance.now();
        if (this.#flushes.length > 0 || left <= 0 || taken.length === 0) break;
        this.#wake = new AbortController();
        await pause(left, this.#wake.signal);
        continue;
      }
      try {
        if (batch.tryAdd(event)) taken.push(event);
        else if (taken.length > 0) break;
        else throw messagingError("MessageTooLargeError", `The event is larger than the ${batch.maxSizeInBytes} bytes of a batch.`);
        this.#queue.shift();
      } catch (error) {
        // It alone cannot be sent.
        this.#queue.shift();
        this.#done(1);
        failed([event], error as Error);
      }
    }
    return taken;
  }

  /** So many events wait no longer. */
  #done(count: number): void {
    if (this.#ended !== undefined) return;
    this.#count -= count;
    if (this.#count === 0) this.#flushed();
    while (this.#line.length > 0 && this.#hasRoom) {
      this.#count += 1;
      this.#line.shift()?.resolve();
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
