// Events as messages of AMQP: encoded for the engine, and decoded in full when something lies deeper than the body.

import { EventHubsError } from "../error.js";
import type { AmqpMessage, LastEnqueued } from "../received.js";
import { malformed, Reader, Writer } from "./amqp.js";
import { bytesOf } from "./bytes.js";
import { invalid } from "./check.js";

const HEADER = 0x70;
const DELIVERY_ANNOTATIONS = 0x71;
const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;
const SEQUENCE = 0x76;
const VALUE = 0x77;
/** What sections are called where they have no number, the header's first. */
const SECTIONS = ["header:list", "delivery-annotations:map", "message-annotations:map", "properties:list", "application-properties:map"].concat(
  ["data:binary", "amqp-sequence:list", "amqp-value:*", "footer:map"],
);

/** An event's `properties` section, in its order: what kind of value each is. */
const FIELDS = {
  messageId: "id",
  userId: "bytes",
  to: "text",
  subject: "text",
  replyTo: "text",
  correlationId: "id",
  contentType: "symbol",
  contentEncoding: "symbol",
  absoluteExpiryTime: "time",
  creationTime: "time",
  groupId: "text",
  groupSequence: "number",
  replyToGroupId: "text",
} as const;
const NAMES = Object.keys(FIELDS) as (keyof typeof FIELDS)[];
const PARTITION_KEY = "x-opt-partition-key";
const SYMBOL = 0xa3;
const STRING = 0xa1;
const BINARY = 0xa0;
/** Memory that is kept for the next event, in bytes. */
const MOST_KEPT = 65_536;
/** Set in the end of an event that has more than a body: see src/js/pack.rs. */
const HAS_MORE = 0x8000_0000;

/** Many events in one piece of memory, which crosses into the engine at once. */
export class Packer extends Writer {
  #ends: number[] = [];

  /**
   * Appends an event: a body, and what else there is to say.
   *
   * @throws EventHubsError naming the property that cannot be sent; `index` is the event's.
   */
  add(body: string | Uint8Array, meta: object | undefined, index?: number): void {
    const start = this.length;
    try {
      if (meta === undefined) this.#body(body);
      else this.#event(body, meta as Record<string, unknown>);
    } catch (error) {
      this.length = start;
      throw error instanceof EventHubsError && index !== undefined ? invalid(error.message, index) : error;
    }
    this.#ends.push((this.length | (meta === undefined ? 0 : HAS_MORE)) >>> 0);
  }

  get count(): number {
    return this.#ends.length;
  }

  /** Everything that was added; valid until the next `add`. */
  take(): { bytes: Uint8Array; ends: Uint32Array } {
    const taken = { bytes: this.bytes.subarray(0, this.length), ends: Uint32Array.from(this.#ends) };
    this.length = 0;
    this.#ends = [];
    return taken;
  }

  #body(body: string | Uint8Array): void {
    if (typeof body === "string") this.text(body);
    else this.raw(body);
  }

  /** Partition key, annotations, and the sections from the properties on. */
  #event(body: string | Uint8Array, meta: Record<string, unknown>): void {
    const { partitionKey, annotations, properties, value, noData, sequence } = meta;
    const hasKey = isGiven(partitionKey);
    this.byte(hasKey ? 1 : 0);
    this.sized(() => hasKey && this.text(text("partitionKey", partitionKey)));
    const marks = isGiven(annotations) ? Object.entries(annotations as object) : [];
    this.u32(marks.length);
    this.sized(() => {
      for (const mark of marks) {
        const [name] = mark;
        if (!isAscii(name)) throw invalid(`the annotation name '${name}' holds characters outside ASCII`);
        if (name === PARTITION_KEY) throw invalid(`the annotation '${name}' is set by hand: set the partition key instead`);
        this.#named([mark], SYMBOL);
      }
    });
    if (NAMES.some((name) => isGiven(meta[name]))) {
      this.#section(PROPERTIES);
      this.compound(0xc0, NAMES.length, () => {
        for (const name of NAMES) this.#field(name, meta[name]);
      });
    }
    const pairs = isGiven(properties) ? Object.entries(properties as object).filter(([, value]) => value !== undefined) : [];
    if (pairs.length > 0) {
      this.#section(APPLICATION_PROPERTIES);
      this.compound(0xc1, pairs.length * 2, () => this.#named(pairs, STRING));
    }
    if (value !== undefined) {
      this.#section(VALUE);
      this.value(value);
    } else if (isGiven(sequence)) {
      if (!Array.isArray(sequence)) throw wrong("sequence", "a list");
      for (const items of sequence) {
        this.#section(SEQUENCE);
        this.list(Array.isArray(items) ? items : [items]);
      }
    } else {
      this.#section(DATA);
      if (isGiven(noData)) this.value(null);
      else this.variable(BINARY, body);
    }
  }

  #section(code: number): void {
    this.raw(Uint8Array.of(0, 0x53, code));
  }

  #named(entries: readonly [string, unknown][], key: number): void {
    for (const entry of entries) {
      try {
        this.entries([entry], key);
      } catch (error) {
        throw error instanceof EventHubsError ? invalid(`the property '${entry[0]}': ${error.message}`) : error;
      }
    }
  }

  #field(name: keyof typeof FIELDS, value: unknown): void {
    if (!isGiven(value)) return this.value(null);
    switch (FIELDS[name]) {
      case "text":
        return this.variable(STRING, text(name, value));
      case "symbol":
        if (!isAscii(text(name, value))) {
          throw invalid(`the ${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} holds characters outside ASCII`);
        }
        return this.variable(SYMBOL, value as string);
      case "bytes": {
        const bytes = typeof value === "string" ? value : bytesOf(value);
        if (bytes === undefined) throw wrong(name, "a string or bytes");
        return this.variable(BINARY, bytes);
      }
      case "number":
        if (typeof value !== "number" || !(value >= 0 && value < 2 ** 32)) throw wrong(name, "a number of 32 bits");
        return this.uint(Math.trunc(value));
      case "time":
        if (!(value instanceof Date) && !isWhole(value)) throw wrong(name, "a Date or milliseconds");
        return this.time(Number(value));
      case "id":
        if (typeof value === "string" || bytesOf(value) !== undefined) return this.value(value);
        if (!isWhole(value) || value < 0 || BigInt.asUintN(64, BigInt(value)) !== BigInt(value)) {
          throw wrong(name, "a string, a whole number that is not negative, or bytes");
        }
        return this.ulong(BigInt(value));
    }
  }
}

let scratch = new Packer();

/** One event, as `Batch.tryAdd` takes it: valid until the next one. */
export function packed(body: string | Uint8Array, meta: object | undefined): Uint8Array {
  if (meta === undefined && typeof body !== "string") return body;
  scratch.add(body, meta);
  const { bytes } = scratch.take();
  if (bytes.byteLength > MOST_KEPT) scratch = new Packer();
  return bytes;
}

/** Every section of an encoded event. */
export function decoded(bytes: Uint8Array): AmqpMessage {
  try {
    return message(new Reader(bytes));
  } catch (error) {
    throw error instanceof EventHubsError ? error : malformed("text that is not UTF-8");
  }
}

function message(reader: Reader): AmqpMessage {
  let whole: { -readonly [Name in keyof AmqpMessage]: AmqpMessage[Name] } = { properties: {} };
  const data: (Uint8Array | null)[] = [];
  const sequence: unknown[][] = [];
  while (!reader.isAtEnd) {
    const descriptor = reader.descriptor();
    const code = typeof descriptor === "string" ? HEADER + SECTIONS.indexOf(descriptor.replace("amqp:", "")) : descriptor;
    const value = reader.value();
    const map = (): { readonly [name: string]: unknown } | undefined => {
      if (value === null || Object.getPrototypeOf(value) !== Object.prototype) throw malformed("something else where a map is needed");
      return Object.keys(value as object).length === 0 ? undefined : (value as Record<string, unknown>);
    };
    const list = (): unknown[] => {
      if (!Array.isArray(value)) throw malformed("something else where a list is needed");
      return value;
    };
    switch (code) {
      case HEADER: {
        const [durable, priority, timeToLive, firstAcquirer, deliveryCount] = list().map((field) => field ?? undefined);
        whole.header = { durable: durable ?? false, priority, timeToLive, firstAcquirer: firstAcquirer ?? false, deliveryCount: deliveryCount ?? 0 } as never;
        break;
      }
      case DELIVERY_ANNOTATIONS:
        whole = { ...whole, ...defined("deliveryAnnotations", map()) };
        break;
      case MESSAGE_ANNOTATIONS:
        whole = { ...whole, ...defined("messageAnnotations", map()) };
        break;
      case PROPERTIES:
        whole.properties = properties(list());
        break;
      case APPLICATION_PROPERTIES:
        whole = { ...whole, ...defined("applicationProperties", map()) };
        break;
      case DATA:
        if (value !== null && !(value instanceof Uint8Array)) throw malformed("a data section that holds no binary");
        data.push(value);
        whole.data = data;
        break;
      case SEQUENCE:
        sequence.push(list());
        whole.sequence = sequence;
        break;
      case VALUE:
        whole.value = value;
        break;
      default:
        whole = { ...whole, ...defined("footer", map()) };
    }
  }
  return { ...whole, ...defined("lastEnqueued", lastEnqueued(whole.deliveryAnnotations ?? {})) };
}

function properties(fields: unknown[]): AmqpMessage["properties"] {
  const found: Record<string, unknown> = {};
  NAMES.forEach((name, index) => {
    const value = fields[index];
    if (!isGiven(value)) return;
    const kind = FIELDS[name];
    const isRight =
      kind === "id" ||
      (kind === "bytes" && value instanceof Uint8Array) ||
      (kind === "time" && value instanceof Date) ||
      typeof value === (kind === "number" ? kind : "string");
    if (!isRight) throw malformed("a field of the wrong type");
    found[name] = value;
  });
  return found;
}

function lastEnqueued(annotations: Readonly<Record<string, unknown>>): LastEnqueued | undefined {
  const { last_enqueued_sequence_number: number, last_enqueued_offset: offset } = annotations;
  const { last_enqueued_time_utc: enqueued, runtime_info_retrieval_time_utc: retrieved } = annotations;
  if (!isGiven(number) || typeof offset !== "string") return undefined;
  return { sequenceNumber: Number(number), offset, enqueuedTime: new Date(Number(enqueued ?? 0)), retrievedAt: new Date(Number(retrieved ?? 0)) };
}

function defined<Name extends string, V>(name: Name, value: V | undefined): { [name in Name]: V } | undefined {
  return value === undefined ? undefined : ({ [name]: value } as { [name in Name]: V });
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isWhole(value: unknown): value is number | bigint {
  return typeof value === "bigint" || Number.isSafeInteger(value);
}

function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw wrong(name, "a string");
  return value;
}

function wrong(name: string, wanted: string): EventHubsError {
  return invalid(`an event's '${name}' is ${wanted}`);
}
