import { Channel } from "../internal/channel.js";
import { engine } from "../internal/engine.js";
import type { AmqpAnnotatedMessage } from "./amqp.js";
import { isCredential } from "./connection.js";
import { AbortError, messagingError, required } from "./errors.js";
import { logger } from "./logger.js";
import { EventHubProducerClient, IDEMPOTENT } from "./producer.js";
import type {
  EventData,
  EventDataBatch,
  EventHubClientOptions,
  EventHubProperties,
  GetEventHubPropertiesOptions,
  GetPartitionIdsOptions,
  GetPartitionPropertiesOptions,
  NamedKeyCredential,
  OperationOptions,
  PartitionProperties,
  SASCredential,
  SendBatchOptions,
  TokenCredential,
} from "./types.js";
import { partitionFor } from "../wasm/eventhubs.js";

/** What was sent. */
export interface OnSendEventsSuccessContext {
  partitionId: string;
  events: Array<EventData | AmqpAnnotatedMessage>;
}

/** What could not be sent, and why. */
export interface OnSendEventsErrorContext {
  partitionId: string;
  events: Array<EventData | AmqpAnnotatedMessage>;
  error: Error;
}

/** How events are gathered, and who hears of them. */
export interface EventHubBufferedProducerClientOptions extends EventHubClientOptions {
  /** How many events may wait for a partition; whoever enqueues more waits. Default: 1500. */
  maxEventBufferLengthPerPartition?: number;
  /** How long an event waits for others. Default: 1000. */
  maxWaitTimeInMs?: number;
  onSendEventsSuccessHandler?: (ctx: OnSendEventsSuccessContext) => void;
  onSendEventsErrorHandler: (ctx: OnSendEventsErrorContext) => void;
  /** Has the service store nothing twice, however often it has to be sent. Default: false. */
  enableIdempotentRetries?: boolean;
}

/** Options of `flush`. */
export interface BufferedFlushOptions extends OperationOptions {}

/** Options of `close`. */
export interface BufferedCloseOptions extends OperationOptions {
  /** Whether what waits is sent first. Default: true. */
  flush?: boolean;
}

/** Which partition an event goes to. */
export interface EnqueueEventOptions extends SendBatchOptions {}

type Outgoing = EventData | AmqpAnnotatedMessage;

/** How long the list of partitions is believed. */
const REFRESH = 10_000;
const CLOSED = "This EventHubBufferedProducerClient has already been closed. Create a new client to enqueue events.";

/** Gathers events in the background and sends them in batches, as that of `@azure/event-hubs` does. */
export class EventHubBufferedProducerClient {
  readonly identifier: string;
  readonly #producer: EventHubProducerClient;
  readonly #options: Partial<EventHubBufferedProducerClientOptions>;
  readonly #channels = new Map<string, Channel<Outgoing, EventDataBatch>>();
  #partitionIds: readonly string[] = [];
  #lookedAt = -Infinity;
  /** Round robin. */
  #last = -1;
  #closed: Promise<void> | undefined;
  #isDropping = false;

  constructor(connectionString: string, options: EventHubBufferedProducerClientOptions);
  constructor(connectionString: string, eventHubName: string, options: EventHubBufferedProducerClientOptions);
  constructor(
    fullyQualifiedNamespace: string,
    eventHubName: string,
    credential: TokenCredential | NamedKeyCredential | SASCredential,
    options: EventHubBufferedProducerClientOptions,
  );
  constructor(
    first: string,
    second: string | EventHubBufferedProducerClientOptions,
    third?: TokenCredential | NamedKeyCredential | SASCredential | EventHubBufferedProducerClientOptions,
    fourth?: EventHubBufferedProducerClientOptions,
  ) {
    const given = typeof second !== "string" ? second : isCredential(third) ? fourth : third;
    this.#options = { ...given };
    const make = EventHubProducerClient as new (...given: unknown[]) => EventHubProducerClient;
    const own = this.#options.enableIdempotentRetries ? { ...given, [IDEMPOTENT]: true } : given;
    const all = [first, second, third, fourth].map((each) => (each !== undefined && each === given ? own : each));
    this.#producer = new make(...all);
    this.identifier = this.#producer.identifier;
  }

  get eventHubName(): string {
    return this.#producer.eventHubName;
  }

  /** The namespace's host. */
  get fullyQualifiedNamespace(): string {
    return this.#producer.fullyQualifiedNamespace;
  }

  /** Sends what waits, unless told not to, and closes the connection. */
  close(options: BufferedCloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options ?? {});
    return this.#closed;
  }

  /** Resolves to the number of events that wait, of all partitions, when there is room for this one. */
  async enqueueEvent(event: EventData | AmqpAnnotatedMessage, options: EnqueueEventOptions = {}): Promise<number> {
    if (this.#closed !== undefined) throw new Error(CLOSED);
    required("enqueueEvent", "event", event);
    await this.#lookAtPartitions(options);
    const channel = this.#channel(await this.#choose(options));
    if (this.#closed !== undefined) throw new Error(CLOSED);
    await channel.enqueue(event, options.abortSignal);
    return this.#buffered;
  }

  /** Resolves to the number of events that wait, of all partitions, when there is room for all of these. */
  async enqueueEvents(events: EventData[] | AmqpAnnotatedMessage[], options: EnqueueEventOptions = {}): Promise<number> {
    required("enqueueEvents", "events", events);
    for (const event of events) await this.enqueueEvent(event, options);
    return this.#buffered;
  }

  /** Sends what waits, at once. Resolves when it was sent, or could not be; the handlers know which. */
  async flush(options: BufferedFlushOptions = {}): Promise<void> {
    await Promise.all([...this.#channels.values()].map((channel) => channel.flush(options.abortSignal)));
  }

  getEventHubProperties(options: GetEventHubPropertiesOptions = {}): Promise<EventHubProperties> {
    return this.#producer.getEventHubProperties(options);
  }

  getPartitionIds(options: GetPartitionIdsOptions = {}): Promise<Array<string>> {
    return this.#producer.getPartitionIds(options);
  }

  getPartitionProperties(partitionId: string, options: GetPartitionPropertiesOptions = {}): Promise<PartitionProperties> {
    return this.#producer.getPartitionProperties(partitionId, options);
  }

  async #close({ flush = true, ...options }: BufferedCloseOptions): Promise<void> {
    try {
      if (flush) await this.flush(options);
    } finally {
      this.#isDropping = true;
      for (const channel of this.#channels.values()) channel.close(new Error(CLOSED));
      await this.#producer.close();
    }
  }

  async #choose({ partitionId, partitionKey }: EnqueueEventOptions): Promise<string> {
    const isSet = (value: unknown): boolean => value !== undefined && value !== null;
    if (isSet(partitionId) && isSet(partitionKey)) {
      throw new Error(`The partitionId (${partitionId}) and partitionKey (${partitionKey}) cannot both be specified.`);
    }
    const ids = this.#partitionIds;
    if (ids.length === 0) throw new Error("Unable to determine partitionIds, can't assign partitionId.");
    if (isSet(partitionId)) {
      if (ids.includes(String(partitionId))) return String(partitionId);
      throw messagingError("ArgumentOutOfRangeError", `There is no partition "${partitionId}": there are ${ids.join(", ")}.`);
    }
    if (isSet(partitionKey)) {
      await engine();
      return String(partitionFor(String(partitionKey), ids.length));
    }
    this.#last = (this.#last + 1) % ids.length;
    return ids[this.#last]!;
  }

  /** A hub may be given more partitions while it is used. */
  async #lookAtPartitions({ abortSignal }: EnqueueEventOptions): Promise<void> {
    const isKnown = this.#partitionIds.length > 0;
    if (isKnown && performance.now() - this.#lookedAt < REFRESH) return;
    this.#lookedAt = performance.now();
    const looked = this.#producer.getPartitionIds(!isKnown && abortSignal ? { abortSignal } : {}).then((ids) => {
      this.#partitionIds = ids;
    });
    if (!isKnown) return looked;
    // Those that are known will do meanwhile.
    looked.catch((error: unknown) => logger.warning("the partitions cannot be looked up:", error));
  }

  #channel(partitionId: string): Channel<Outgoing, EventDataBatch> {
    const known = this.#channels.get(partitionId);
    if (known !== undefined) return known;
    const channel = new Channel<Outgoing, EventDataBatch>({
      capacity: this.#options.maxEventBufferLengthPerPartition || 1500,
      maxWaitMs: this.#options.maxWaitTimeInMs || 1000,
      batch: () => this.#producer.createBatch({ partitionId }),
      send: (batch) => this.#producer.sendBatch(batch),
      succeeded: (events) => this.#tell("onSendEventsSuccessHandler", { events, partitionId }),
      failed: (events, error) => {
        // What was given up on by closing is not told, as in the official client.
        if (!this.#isDropping) this.#tell("onSendEventsErrorHandler", { error: error as Error, events, partitionId });
      },
      tooLarge: (batch) =>
        messagingError("MessageTooLargeError", `The event is larger than the ${batch.maxSizeInBytes} bytes of a batch.`),
      aborted: () => new AbortError(),
    });
    this.#channels.set(partitionId, channel);
    return channel;
  }

  #tell(handler: "onSendEventsSuccessHandler" | "onSendEventsErrorHandler", context: object): void {
    try {
      this.#options[handler]?.(context as OnSendEventsErrorContext);
    } catch (error) {
      logger.error(`${handler} failed:`, error);
    }
  }

  get #buffered(): number {
    return [...this.#channels.values()].reduce((total, channel) => total + channel.count, 0);
  }
}
