// Reads one partition and calls the handlers.

import type { ConsumerClient } from "../consumer.js";
import type { ReceivedEvent } from "../received.js";
import type { EventStream } from "../stream.js";
import { pause } from "../internal/pause.js";
import { CLOSED, type MessagingError } from "./errors.js";
import type { HubInspector } from "./inspector.js";
import { logger } from "./logger.js";
import { type EventPosition, startAt } from "./position.js";
import { lastEnqueuedProperties, receivedEvent } from "./received.js";
import { pauseOf } from "./retry.js";
import {
  type Checkpoint,
  type CheckpointStore,
  CloseReason,
  type PartitionContext,
  type SubscribeOptions,
  type SubscriptionEventHandlers,
} from "./subscription.js";
import type { LastEnqueuedEventProperties, ReceivedEventData } from "./types.js";

/** What all pumps of a subscription have in common. */
export interface Subscribed {
  readonly inspector: HubInspector<ConsumerClient>;
  readonly consumerGroup: string;
  readonly handlers: SubscriptionEventHandlers;
  readonly options: SubscribeOptions;
  readonly store: CheckpointStore;
  /** Whether checkpoints are kept: without a store of the user's, one partition alone has none. */
  readonly keepsCheckpoints: boolean;
}

/** How long more events are waited for when some have come, as the official SDK does. */
const LINGER = 20;

/** A partition, as handlers see it. */
export class Partition implements PartitionContext {
  lastEnqueuedEventProperties!: LastEnqueuedEventProperties;
  readonly #subscribed: Subscribed;
  readonly #partitionId: string;

  constructor(subscribed: Subscribed, partitionId: string) {
    this.#subscribed = subscribed;
    this.#partitionId = partitionId;
  }

  get fullyQualifiedNamespace(): string {
    return this.#subscribed.inspector.opening.host;
  }

  get eventHubName(): string {
    return this.#subscribed.inspector.opening.eventHub;
  }

  get consumerGroup(): string {
    return this.#subscribed.consumerGroup;
  }

  get partitionId(): string {
    return this.#partitionId;
  }

  async updateCheckpoint({ sequenceNumber, offset }: ReceivedEventData): Promise<void> {
    const { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId } = this;
    const place = { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId };
    const checkpoint: Checkpoint = { ...place, sequenceNumber, offset };
    if (this.#subscribed.keepsCheckpoints) await this.#subscribed.store.updateCheckpoint(checkpoint);
  }
}

/** Tells a handler of an error; what the handler throws in turn concerns nobody. */
export async function report({ handlers }: Subscribed, error: unknown, context: PartitionContext): Promise<void> {
  try {
    await handlers.processError?.(error as Error, context);
  } catch (thrown) {
    logger.verbose("processError failed:", thrown);
  }
}

/** Runs until it is stopped, or until an error comes that does not pass. */
export class Pump {
  readonly #subscribed: Subscribed;
  readonly #context: Partition;
  readonly #start: EventPosition;
  readonly #abort = new AbortController();
  #stream: EventStream | undefined;
  /** An error that came behind events. */
  #held: { error: unknown } | undefined;
  #isReceiving = true;
  #isStopped = false;

  constructor(subscribed: Subscribed, partitionId: string, start: EventPosition) {
    this.#subscribed = subscribed;
    this.#context = new Partition(subscribed, partitionId);
    this.#start = start;
  }

  get isReceiving(): boolean {
    return this.#isReceiving;
  }

  /** Resolves when `processInitialize` is through; events follow. */
  async start(): Promise<void> {
    try {
      await this.#subscribed.handlers.processInitialize?.(this.#context);
    } catch (error) {
      void report(this.#subscribed, error, this.#context);
    }
    void this.#run();
  }

  async stop(reason: CloseReason): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#isReceiving = false;
    try {
      this.#abort.abort();
      await this.#close();
      await this.#subscribed.handlers.processClose?.(reason, this.#context);
    } catch (error) {
      void report(this.#subscribed, error, this.#context);
    }
  }

  async #run(): Promise<void> {
    const { handlers, options } = this.#subscribed;
    let seen: number | undefined;
    while (this.#isReceiving) {
      try {
        this.#stream ??= this.#open(seen === undefined ? this.#start : { sequenceNumber: seen });
        const stream = this.#stream;
        const events = (await this.#gather(stream)).map((event) => receivedEvent(event, Boolean(options.skipParsingBodyAsJson)));
        if (!this.#isReceiving) return;
        if (options.trackLastEnqueuedEventProperties) {
          this.#context.lastEnqueuedEventProperties = lastEnqueuedProperties(stream.lastEnqueued(this.#context.partitionId));
        }
        seen = events.at(-1)?.sequenceNumber ?? seen;
        await handlers.processEvents(events, this.#context);
      } catch (thrown) {
        if (!this.#isReceiving) return;
        await this.#failed(this.#subscribed.inspector.explained(thrown));
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    await this.#close();
    await report(this.#subscribed, error, this.#context);
    const { code, retryable } = (error ?? {}) as Partial<MessagingError>;
    if (!retryable) {
      await this.stop(code === "ReceiverDisconnectedError" ? CloseReason.OwnershipLost : CloseReason.Shutdown);
      return;
    }
    await pause(pauseOf(this.#subscribed.inspector.retry), this.#abort.signal);
  }

  #open(start: EventPosition): EventStream {
    const { inspector, options } = this.#subscribed;
    if (inspector.isClosed) throw new Error(CLOSED);
    const { ownerLevel, trackLastEnqueuedEventProperties } = options;
    return inspector.client.receive(this.#context.partitionId, {
      from: startAt(start),
      ownerLevel: typeof ownerLevel === "number" ? ownerLevel : undefined,
      trackLastEnqueued: Boolean(trackLastEnqueuedEventProperties),
      prefetch: Math.max(options.prefetchCount ?? this.#maxCount * 3, this.#maxCount),
    });
  }

  get #maxCount(): number {
    return this.#subscribed.options.maxBatchSize ?? 1;
  }

  /** The events of a batch: what has come, and what comes a moment later. */
  async #gather(stream: EventStream): Promise<ReceivedEvent[]> {
    if (this.#held !== undefined) {
      const { error } = this.#held;
      this.#held = undefined;
      throw error;
    }
    const maxWaitMs = (this.#subscribed.options.maxWaitTimeInSeconds ?? 60) * 1000;
    const events = await stream.nextBatch({ maxCount: this.#maxCount, maxWaitMs });
    const end = performance.now() + LINGER;
    while (events.length > 0 && events.length < this.#maxCount && performance.now() < end) {
      try {
        const left = Math.max(end - performance.now(), 0);
        events.push(...(await stream.nextBatch({ maxCount: this.#maxCount - events.length, maxWaitMs: left })));
      } catch (error) {
        // What has come is not lost over it.
        this.#held = { error };
        break;
      }
    }
    return events;
  }

  /** Ends whatever waits for events. */
  async #close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#held = undefined;
    try {
      await stream?.close();
    } catch (error) {
      // It is gone anyway.
      logger.verbose("a partition could not be detached:", error);
    }
  }
}
