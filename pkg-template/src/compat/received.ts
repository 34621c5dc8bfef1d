// Events that arrived, as users of `@azure/event-hubs` know them.

import type { AmqpMessage, LastEnqueued, ReceivedEvent } from "../received.js";
import type { AmqpAnnotatedMessage, AmqpMessageProperties } from "./amqp.js";
import type { LastEnqueuedEventProperties, ReceivedEventData } from "./types.js";

const DECODER = new TextDecoder();
/** Node's bytes: programs call `body.toString()`. They are a `Uint8Array` as well, which is what the types say. */
const NODE_BYTES = (globalThis as Record<string, unknown>)["Buffer"] as
  | { from?(buffer: ArrayBufferLike, offset: number, length: number): Uint8Array }
  | undefined;
/** What has a property of its own in an event. */
const OWN_ANNOTATIONS = new Set(["x-opt-partition-key", "x-opt-sequence-number", "x-opt-enqueued-time", "x-opt-offset"]);

/** With its body parsed, unless told to leave it. */
export function receivedEvent(event: ReceivedEvent, skipParsingBodyAsJson: boolean): ReceivedEventData {
  const message = event.raw();
  const { body, bodyType, raw } = bodyOf(message, skipParsingBodyAsJson);
  let whole: AmqpAnnotatedMessage | undefined;
  const data: ReceivedEventData = {
    body,
    properties: undefined as never,
    offset: event.offset,
    sequenceNumber: event.sequenceNumber,
    enqueuedTimeUtc: event.enqueuedTime,
    partitionKey: event.partitionKey ?? null,
    systemProperties: systemProperties(message),
    getRawAmqpMessage: () => (whole ??= annotated(message, raw, bodyType)),
  };
  // Undefined where there are none: what is there is seen in logs and copies.
  if (message.applicationProperties !== undefined) data.properties = numbersOfDates(message.applicationProperties) as Record<string, unknown>;
  const { correlationId, contentType, messageId } = message.properties;
  if (correlationId !== undefined) data.correlationId = nodeBytes(correlationId) as string;
  if (contentType !== undefined) data.contentType = contentType;
  if (messageId !== undefined) data.messageId = nodeBytes(messageId) as string;
  return data;
}

/** An empty object where nothing was told yet. */
export function lastEnqueuedProperties(last: LastEnqueued | undefined): LastEnqueuedEventProperties {
  if (last === undefined) return {};
  return { sequenceNumber: last.sequenceNumber, enqueuedOn: last.enqueuedTime, offset: last.offset, retrievedOn: last.retrievedAt };
}

interface Body {
  body: unknown;
  bodyType: "data" | "sequence" | "value";
  /** Before it is parsed. */
  raw: unknown;
}

function bodyOf({ data, value, sequence }: AmqpMessage, skip: boolean): Body {
  if (sequence !== undefined) {
    const raw = sequence.length === 1 ? sequence[0] : sequence;
    return { body: raw, bodyType: "sequence", raw };
  }
  // A value of bytes counts as data, as in the official SDK.
  if (data === undefined && !(value instanceof Uint8Array)) return { body: value, bodyType: "value", raw: value };
  const raw = data === undefined ? nodeBytes(value) : data.length === 1 ? nodeBytes(data[0]) : data.map(nodeBytes);
  return { body: skip ? raw : parsed(raw), bodyType: "data", raw };
}

function nodeBytes(value: unknown): unknown {
  if (!(value instanceof Uint8Array) || typeof NODE_BYTES?.from !== "function") return value;
  return NODE_BYTES.from(value.buffer, value.byteOffset, value.byteLength);
}

/** What is no JSON is left as bytes. */
function parsed(raw: unknown): unknown {
  if (!(raw instanceof Uint8Array)) return raw;
  try {
    return JSON.parse(DECODER.decode(raw));
  } catch {
    return raw;
  }
}

function systemProperties(message: AmqpMessage): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message.messageAnnotations ?? {})) {
    if (!OWN_ANNOTATIONS.has(name)) found[name] = numbersOfDates(value);
  }
  for (const [name, value] of Object.entries(message.properties)) {
    if (value !== undefined && value !== null) found[name] = numbersOfDates(value);
  }
  return found;
}

function annotated(message: AmqpMessage, body: unknown, bodyType: Body["bodyType"]): AmqpAnnotatedMessage {
  const { userId: _, creationTime, absoluteExpiryTime, messageId, correlationId, ...properties } = message.properties;
  const own = {
    ...(messageId !== undefined && { messageId: nodeBytes(messageId) }),
    ...(correlationId !== undefined && { correlationId: nodeBytes(correlationId) }),
    ...(creationTime && { creationTime: creationTime.getTime() }),
    ...(absoluteExpiryTime && { absoluteExpiryTime: absoluteExpiryTime.getTime() }),
  };
  return {
    header: message.header ?? {},
    footer: message.footer as never,
    messageAnnotations: message.messageAnnotations as never,
    deliveryAnnotations: message.deliveryAnnotations as never,
    applicationProperties: message.applicationProperties as never,
    properties: { ...properties, ...own } as AmqpMessageProperties,
    body,
    bodyType,
  };
}

/** Times are milliseconds wherever they lie; bytes stay bytes. */
function numbersOfDates(thing: unknown): unknown {
  if (thing instanceof Date) return thing.getTime();
  if (Array.isArray(thing)) return thing.map(numbersOfDates);
  if (thing instanceof Uint8Array) return nodeBytes(thing);
  if (typeof thing !== "object" || thing === null || ArrayBuffer.isView(thing) || thing instanceof Map) return thing;
  return Object.fromEntries(Object.entries(thing).map(([name, value]) => [name, numbersOfDates(value)]));
}
