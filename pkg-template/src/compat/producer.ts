import { addTo } from "../batch.js";
import { call } from "../internal/call.js";
import { HubClient } from "../internal/hub-client.js";
import type { Batch as RawBatch } from "../wasm/eventhubs.js";
import type { AmqpAnnotatedMessage } from "./amqp.js";
import { Batch, isBatch } from "./batch.js";
import { isCredential, openingOf } from "./connection.js";
import { messagingError, required } from "./errors.js";
import { HubInspector } from "./inspector.js";
import { assertEvent, encode, ownKey } from "./outgoing.js";
import type {
  CreateBatchOptions,
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

/** The option of an idempotent producer: the official client hides it, too. @internal */
export const IDEMPOTENT = Symbol("idempotent");

/**
 * Sends events to a hub, as that of `@azure/event-hubs` does.
 *
 * ```ts
 * const producer = new EventHubProducerClient(connectionString, "orders");
 * const batch = await producer.createBatch({ partitionKey: "customer-1" });
 * batch.tryAdd({ body: { id: 1 } });
 * await producer.sendBatch(batch);
 * await producer.close();
 * ```
 */
export class EventHubProducerClient {
  /** How the client is called in the service's logs. */
  readonly identifier: string;
  readonly #inspector: HubInspector<Sender>;

  constructor(connectionString: string, options?: EventHubClientOptions);
  constructor(connectionString: string, eventHubName: string, options?: EventHubClientOptions);
  constructor(
    fullyQualifiedNamespace: string,
    eventHubName: string,
    credential: TokenCredential | NamedKeyCredential | SASCredential,
    options?: EventHubClientOptions,
  );
  constructor(first: string, second?: string | EventHubClientOptions, third?: unknown, fourth?: EventHubClientOptions) {
    const options = typeof second !== "string" ? second : isCredential(third) ? fourth : (third as EventHubClientOptions | undefined);
    const opening = openingOf(first, second, third, options ?? undefined);
    this.identifier = opening.identifier;
    const isIdempotent = (options as { [IDEMPOTENT]?: boolean } | undefined)?.[IDEMPOTENT] === true;
    const connection = isIdempotent ? { ...opening.connection, idempotent: true } : opening.connection;
    this.#inspector = new HubInspector(opening, new Sender(connection), options?.retryOptions);
  }

  get eventHubName(): string {
    return this.#inspector.opening.eventHub;
  }

  /** The namespace's host. */
  get fullyQualifiedNamespace(): string {
    return this.#inspector.opening.host;
  }

  /** An empty batch, to be filled with `tryAdd`. */
  createBatch(options: CreateBatchOptions = {}): Promise<EventDataBatch> {
    return this.#inspector.use(options, async (sender, signal) => {
      const { partitionId, partitionKey } = routeOf(options);
      const raw = await sender.batch(partitionId, partitionKey, options.maxSizeInBytes || undefined, signal);
      return new Batch(raw, partitionId, partitionKey);
    });
  }

  /** Sends events, all of them as one batch or none. */
  sendBatch(batch: EventData[] | AmqpAnnotatedMessage[], options?: SendBatchOptions): Promise<void>;
  /** Sends a batch, all of it or nothing. */
  sendBatch(batch: EventDataBatch, options?: OperationOptions): Promise<void>;
  sendBatch(batch: EventData[] | AmqpAnnotatedMessage[] | EventDataBatch, options: SendBatchOptions = {}): Promise<void> {
    return this.#inspector.use(options, async (sender, signal) => {
      required("sendBatch", "batch", batch);
      if (isBatch(batch)) {
        sameRoute(batch, options);
        if (!(batch instanceof Batch)) throw new TypeError("sendBatch takes a batch of createBatch, or events");
        if (batch.count > 0) await sender.send(Batch.copyOf(batch), signal);
        return;
      }
      // A single event is not what the types say, and is taken as well.
      const events = Array.isArray(batch) ? batch : [batch];
      events.forEach(assertEvent);
      const { partitionId, partitionKey } = routeOf(options);
      if (events.length === 0) return;
      const key = partitionKey ?? (partitionId === undefined ? ownKey(events[0]) : undefined);
      const encoded = events.map(encode);
      const raw = await sender.batch(partitionId, key, undefined, signal);
      const fits = encoded.every(({ body, meta }) => addTo(raw, body, meta));
      if (!fits) {
        const { maxSize } = raw;
        raw.free();
        throw messagingError("MessageTooLargeError", `The ${events.length} events are larger together than the ${maxSize} bytes that the link takes.`);
      }
      await sender.send(raw, signal);
    });
  }

  /** Closes the connection. */
  close(): Promise<void> {
    return this.#inspector.close();
  }

  getEventHubProperties(options: GetEventHubPropertiesOptions = {}): Promise<EventHubProperties> {
    return this.#inspector.getEventHubProperties(options);
  }

  getPartitionIds(options: GetPartitionIdsOptions = {}): Promise<Array<string>> {
    return this.#inspector.getPartitionIds(options);
  }

  getPartitionProperties(partitionId: string, options: GetPartitionPropertiesOptions = {}): Promise<PartitionProperties> {
    return this.#inspector.getPartitionProperties(partitionId, options);
  }
}

/** The engine's producer. */
class Sender extends HubClient {
  constructor(connection: object) {
    super("an EventHubProducerClient", [connection], { idempotent: "boolean" }, true);
  }

  async batch(partitionId?: string, partitionKey?: string, maxSize?: number, signal?: AbortSignal): Promise<RawBatch> {
    const producer = await this.raw(signal);
    const make = (maxSize?: number): Promise<RawBatch> =>
      call(signal, (ticket) => producer.createBatch(partitionId, partitionKey, maxSize, false, ticket));
    const whole = await make();
    if (maxSize === undefined) return whole;
    const limit = whole.maxSize;
    whole.free();
    if (maxSize <= limit) return make(maxSize);
    throw new Error(
      `Max message size (${maxSize} bytes) is greater than maximum message size (${limit} bytes) on the AMQP sender link.`,
    );
  }

  /** Sends it, and frees it. */
  async send(batch: RawBatch, signal?: AbortSignal): Promise<void> {
    try {
      const producer = await this.raw(signal);
      await call<void>(signal, (ticket) => producer.sendBatch(batch, undefined, ticket));
    } finally {
      batch.free();
    }
  }
}

interface Route {
  partitionId: string | undefined;
  partitionKey: string | undefined;
}

function routeOf(options: SendBatchOptions): Route {
  const { partitionId, partitionKey } = options;
  const isSet = (value: unknown): boolean => value !== undefined && value !== null;
  if (isSet(partitionId) && isSet(partitionKey)) {
    throw new Error(`The partitionId (${partitionId}) and partitionKey (${partitionKey}) cannot both be specified.`);
  }
  return {
    partitionId: isSet(partitionId) ? String(partitionId) : undefined,
    partitionKey: isSet(partitionKey) ? String(partitionKey) : undefined,
  };
}

/** A batch goes where it was made for. */
function sameRoute(batch: EventDataBatch, options: SendBatchOptions): void {
  for (const name of ["partitionKey", "partitionId"] as const) {
    const given = options[name];
    if (given !== undefined && given !== null && String(given) !== batch[name]) {
      throw new Error(
        `The ${name} (${String(given)}) set on sendBatch does not match the ${name} (${batch[name]}) set when creating the batch.`,
      );
    }
  }
}
