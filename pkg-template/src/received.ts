import type { Codec } from "./codec.js";
import { EventHubsError } from "./error.js";
import type { PropertyValue } from "./event.js";
import { decoded } from "./internal/message.js";

/** The newest event of a partition, as the service last told. */
export interface LastEnqueued {
  readonly sequenceNumber: number;
  readonly offset: string;
  readonly enqueuedTime: Date;
  /** When the service looked. */
  readonly retrievedAt: Date;
}

/** An AMQP message with all its sections; what it does not have is undefined. */
export interface AmqpMessage {
  readonly header?: { durable?: boolean; priority?: number; timeToLive?: number; firstAcquirer?: boolean; deliveryCount?: number };
  readonly deliveryAnnotations?: Readonly<Record<string, unknown>>;
  readonly messageAnnotations?: Readonly<Record<string, unknown>>;
  readonly properties: Readonly<AmqpProperties>;
  readonly applicationProperties?: Readonly<Record<string, unknown>>;
  readonly footer?: Readonly<Record<string, unknown>>;
  /** The data sections of the body; `null` for one that holds nothing. */
  readonly data?: readonly (Uint8Array | null)[];
  /** The body, when it is one AMQP value. */
  readonly value?: unknown;
  /** The sections of the body, when it is AMQP sequences. */
  readonly sequence?: readonly (readonly unknown[])[];
  readonly lastEnqueued?: LastEnqueued;
}

/** What a codec makes of a body. */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: EventHubsError };

/** The `properties` section of an AMQP message. */
export interface AmqpProperties {
  messageId?: string | number | bigint | Uint8Array;
  correlationId?: string | number | bigint | Uint8Array;
  contentType?: string;
  contentEncoding?: string;
  subject?: string;
  to?: string;
  replyTo?: string;
  userId?: Uint8Array;
  groupId?: string;
  groupSequence?: number;
  replyToGroupId?: string;
  creationTime?: Date;
  absoluteExpiryTime?: Date;
}

const DECODER = new TextDecoder();
/** Numbers per event in the table that comes from the engine: see src/js/pack.rs. */
const COLUMNS = 11;

/**
 * An event that arrived. It is small: a place in the memory that came from the network, shared with the other events of its batch.
 * What is asked for is decoded when it is asked for.
 */
export class ReceivedEvent<T = Uint8Array> {
  readonly #bytes: Uint8Array;
  readonly #table: Float64Array;
  readonly #row: number;
  readonly #stream: Reading<T>;
  #message: AmqpMessage | undefined;

  /** @internal */
  constructor(bytes: Uint8Array, table: Float64Array, row: number, stream: Reading<T>) {
    this.#bytes = bytes;
    this.#table = table;
    this.#row = row * COLUMNS;
    this.#stream = stream;
  }

  /** The partition that it came from. */
  get partitionId(): string {
    return this.#stream.partitionIds[this.#at(10)]!;
  }

  /** The event's number in its partition: the next one has one more. */
  get sequenceNumber(): number {
    const number = this.#at(8);
    if (!Number.isSafeInteger(number)) {
      throw new EventHubsError("internal", "the sequence number is larger than a JavaScript number holds exactly");
    }
    return number;
  }

  /** Where the event lies in its partition: what a checkpoint keeps. */
  get offset(): string {
    return DECODER.decode(this.#part(4));
  }

  /** When the service took the event. */
  get enqueuedTime(): Date {
    return new Date(this.#at(9));
  }

  /** The partition key that it was sent with. */
  get partitionKey(): string | undefined {
    return this.#at(6) < 0 ? undefined : DECODER.decode(this.#part(6));
  }

  /**
   * The body, as the stream's codec makes it; bytes where no codec was given.
   *
   * @throws EventHubsError `invalid-argument` when it does not decode; {@link decoded} does not throw.
   */
  get body(): T {
    const decoded = this.decoded;
    if (!decoded.ok) throw decoded.error;
    return decoded.value;
  }

  /** What the stream's codec makes of the body: its value, or why there is none. An event that does not decode is an event like any other. */
  get decoded(): Decoded<T> {
    try {
      return { ok: true, value: this.#stream.codec.decode(this.bytes, this as ReceivedEvent<unknown>) };
    } catch (cause) {
      const which = `event ${this.sequenceNumber} of partition '${this.partitionId}'`;
      const message = `the body of ${which} does not decode: ${String((cause as Error | undefined)?.message ?? cause)}`;
      return { ok: false, error: new EventHubsError("invalid-argument", message, { operation: "decode", cause }) };
    }
  }

  /**
   * The body's bytes, whatever the codec: a view of memory that it shares with the events of its batch. Copy it
   * (`bytes.slice()`) to transfer it, or to keep a small event of a large batch for long.
   */
  get bytes(): Uint8Array {
    if (this.#at(2) >= 0) return this.#part(2);
    return joined(this.raw());
  }

  /** The body as text. */
  text(): string {
    return DECODER.decode(this.bytes);
  }

  /** The body parsed as JSON. */
  json<J = unknown>(): J {
    return JSON.parse(this.text()) as J;
  }

  /** What the application says about the event. */
  get properties(): Readonly<Record<string, PropertyValue>> {
    return (this.raw().applicationProperties ?? {}) as Record<string, PropertyValue>;
  }

  get messageId(): string | number | bigint | Uint8Array | undefined {
    return this.raw().properties.messageId;
  }

  get correlationId(): string | number | bigint | Uint8Array | undefined {
    return this.raw().properties.correlationId;
  }

  /** A MIME type. */
  get contentType(): string | undefined {
    return this.raw().properties.contentType;
  }

  get contentEncoding(): string | undefined {
    return this.raw().properties.contentEncoding;
  }

  get subject(): string | undefined {
    return this.raw().properties.subject;
  }

  /** The message annotations: the service's, and those of the producer. */
  get annotations(): Readonly<Record<string, unknown>> {
    return this.raw().messageAnnotations ?? {};
  }

  /** The newest event of the partition when this one was delivered; with `trackLastEnqueued` only. */
  get lastEnqueued(): LastEnqueued | undefined {
    return this.raw().lastEnqueued;
  }

  /** Every section of the AMQP message. */
  raw(): AmqpMessage {
    this.#message ??= decoded(this.encoded);
    return this.#message;
  }

  /** The encoded AMQP message as it was delivered. */
  get encoded(): Uint8Array {
    return this.#part(0);
  }

  #at(column: number): number {
    return this.#table[this.#row + column]!;
  }

  #part(column: number): Uint8Array {
    return this.#bytes.subarray(this.#at(column), this.#at(column + 1));
  }
}

/** What the events of a stream have in common. @internal */
export interface Reading<T> {
  readonly partitionIds: readonly string[];
  readonly codec: Codec<T>;
}

/** The events of a batch that came from the engine. @internal */
export function receivedEvents<T>([bytes, table]: [Uint8Array, Float64Array], stream: Reading<T>): ReceivedEvent<T>[] {
  const events = new Array<ReceivedEvent<T>>(table.length / COLUMNS);
  for (let row = 0; row < events.length; row++) events[row] = new ReceivedEvent(bytes, table, row, stream);
  return events;
}

/** The bytes of a body that is not one data section. */
function joined({ data, value, sequence }: AmqpMessage): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return new TextEncoder().encode(value);
  if (sequence !== undefined || (value !== undefined && value !== null)) {
    throw new EventHubsError("invalid-argument", "the body does not consist of bytes: raw() has its value");
  }
  const parts = (data ?? []).filter((part) => part !== null);
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.byteLength;
  }
  return whole;
}
