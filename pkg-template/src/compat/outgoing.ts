// Events as users of `@azure/event-hubs` make them, for the engine.

import type { AmqpAnnotatedMessage } from "./amqp.js";
import { plain, plainValues } from "./typed.js";
import type { EventData, ReceivedEventData } from "./types.js";

/** A body, and what else there is to say: see internal/message.ts. */
export interface Encoded {
  body: Uint8Array;
  meta: Record<string, unknown> | undefined;
}

type Kind = "data" | "sequence" | "value";

const ENCODER = new TextEncoder();
const NOTHING = new Uint8Array();
const LONGEST_MESSAGE_ID = 128;
const LATEST_TIME = Date.parse("9999-12-31T07:59:59.000Z");
/** The annotation that a partition key is. */
const PARTITION_KEY = "x-opt-partition-key";
/** What the service makes, and what comes along when a received message is sent again. */
const SERVICE_ANNOTATIONS = new Set([PARTITION_KEY, "x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"]);
const PROPERTIES = [
  ...["messageId", "correlationId", "contentType", "contentEncoding", "subject", "to", "replyTo", "groupId", "groupSequence"],
  ...["replyToGroupId", "creationTime", "absoluteExpiryTime"],
] as const;

/** Throws the official `Error` for what is no event. */
export function assertEvent(given: unknown): void {
  const event = given as EventData;
  if (isSet(event.contentType) && typeof event.contentType !== "string") {
    throw new Error(`Invalid 'contentType': expected 'string' or 'undefined', but received '${typeof event.contentType}'.`);
  }
  for (const name of ["correlationId", "messageId"] as const) {
    const id: unknown = event[name];
    if (isSet(id) && typeof id !== "string" && typeof id !== "number" && !(id instanceof Uint8Array)) {
      throw new Error(`Invalid '${name}': expected 'string', 'number', 'Buffer', or 'undefined', but received '${typeof id}'.`);
    }
  }
  const properties: unknown = event.properties;
  if (properties !== undefined && (typeof properties !== "object" || Array.isArray(properties))) {
    const kind = Array.isArray(properties) ? "array" : typeof properties;
    throw new Error(`Invalid 'properties': expected an object or 'undefined', but received '${kind}'.`);
  }
}

/** Whether it is a message rather than an event: by its `bodyType`. */
export function isMessage(given: unknown): given is AmqpAnnotatedMessage {
  return typeof given === "object" && given !== null && "body" in given && "bodyType" in given && !("getRawAmqpMessage" in given);
}

/** The partition key that a message says itself, as one that was received does. */
export function ownKey(given: unknown): string | undefined {
  const key: unknown = isMessage(given) ? given.messageAnnotations?.[PARTITION_KEY] : undefined;
  return isSet(key) ? String(key) : undefined;
}

export function encode(given: EventData | AmqpAnnotatedMessage): Encoded {
  return isMessage(given) ? encodeMessage(given) : encodeEvent(given);
}

function encodeEvent(event: EventData): Encoded {
  const { getRawAmqpMessage } = event as Partial<ReceivedEventData>;
  // A received event that is sent again keeps its kind of body.
  const kind = typeof getRawAmqpMessage === "function" ? (getRawAmqpMessage.call(event).bodyType ?? "data") : "data";
  const { messageId, correlationId, contentType, properties } = event;
  if (typeof messageId === "string" && messageId.length > LONGEST_MESSAGE_ID) {
    throw new Error(`Length of 'messageId' property on the event cannot be greater than ${LONGEST_MESSAGE_ID} characters.`);
  }
  const meta: Record<string, unknown> = {};
  if (properties) meta["properties"] = plainValues(properties);
  if (isSet(messageId)) meta["messageId"] = messageId;
  if (isSet(correlationId)) meta["correlationId"] = correlationId;
  if (isSet(contentType)) meta["contentType"] = contentType;
  return finish(event.body, kind, meta);
}

function encodeMessage(message: AmqpAnnotatedMessage): Encoded {
  const meta: Record<string, unknown> = {};
  for (const name of PROPERTIES) {
    const value = message.properties?.[name];
    if (isSet(value)) meta[name] = value;
  }
  const lifetime = message.header?.timeToLive;
  if (lifetime) {
    const created = Number(meta["creationTime"] ?? Date.now());
    meta["creationTime"] = created;
    meta["absoluteExpiryTime"] = Math.min(created + lifetime, LATEST_TIME);
  }
  if (message.applicationProperties) meta["properties"] = plainValues(message.applicationProperties);
  const annotations = Object.entries(message.messageAnnotations ?? {}).filter(([name]) => !SERVICE_ANNOTATIONS.has(name));
  if (annotations.length > 0) meta["annotations"] = plainValues(Object.fromEntries(annotations));
  return finish(message.body, message.bodyType ?? "data", meta);
}

function finish(given: unknown, kind: Kind, meta: Record<string, unknown>): Encoded {
  const value = given === undefined ? null : given;
  if (kind === "value") return { body: NOTHING, meta: { ...meta, value: plain(value) } };
  // One section with these items, as the official SDK sends it.
  if (kind === "sequence") return { body: NOTHING, meta: { ...meta, sequence: [Array.isArray(value) ? value : [value]] } };
  if (value === null) return { body: NOTHING, meta: { ...meta, noData: true } };
  const body = value instanceof Uint8Array ? value : ENCODER.encode(json(value));
  return { body, meta: isEmpty(meta) ? undefined : meta };
}

function json(value: unknown): string {
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
    return text;
  } catch (error) {
    throw Object.assign(
      new Error(`An error occurred while executing JSON.stringify() on the given body ${String(value)}${String(error)}`),
      { cause: error },
    );
  }
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}
