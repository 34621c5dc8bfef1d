// From what a user gives to send to a body and what else there is to say.

import type { Body } from "../codec.js";
import type { EventInput } from "../event.js";
import { bytesOf } from "./bytes.js";
import { hint, invalid } from "./check.js";

/** The half of a codec that sending needs. */
export interface Encoder {
  readonly contentType?: string | undefined;
  encode(value: never): Body;
}

/** An event as the engine takes it: `meta` is undefined for a body alone. */
export interface Outgoing {
  body: string | Uint8Array;
  meta: object | undefined;
}

const NOTHING = new Uint8Array();
const NAMES = [
  ...["body", "properties", "partitionKey", "messageId", "correlationId", "contentType", "contentEncoding", "subject"],
  ...["to", "replyTo", "userId", "groupId", "groupSequence", "replyToGroupId", "creationTime", "absoluteExpiryTime"],
  "annotations",
];
const KNOWN = new Set(NAMES);

/** `index`: which one it is of those that were given. */
export function outgoing(given: unknown, codec: Encoder | undefined, index: number): Outgoing {
  const isEvent = typeof given === "object" && given !== null && "body" in given && bytesOf(given) === undefined;
  if (!isEvent) {
    if (codec === undefined && typeof given === "object" && given !== null && bytesOf(given) === undefined) {
      throw invalid("an event is a body, or an object with a 'body'; other objects need a codec, such as json()", index);
    }
    return { body: bodyOf(given, codec, index), meta: typeOf(codec) };
  }
  const { body, ...meta } = given as EventInput<unknown>;
  let isPlain = true;
  for (const name in meta) {
    if (!KNOWN.has(name)) throw invalid(`an event has no property '${name}'${hint(name, NAMES)}`, index);
    isPlain = false;
  }
  const properties = meta.properties as unknown;
  if (properties !== undefined && (typeof properties !== "object" || properties === null)) {
    throw invalid("an event's 'properties' are an object", index);
  }
  const bytes = bodyOf(body, codec, index);
  if (isPlain) return { body: bytes, meta: typeOf(codec) };
  return { body: bytes, meta: codec?.contentType === undefined ? meta : { contentType: codec.contentType, ...meta } };
}

function typeOf(codec: Encoder | undefined): object | undefined {
  return codec?.contentType === undefined ? undefined : { contentType: codec.contentType };
}

function bodyOf(value: unknown, codec: Encoder | undefined, index: number): string | Uint8Array {
  if (codec !== undefined) {
    try {
      value = codec.encode(value as never);
    } catch (error) {
      throw Object.assign(invalid(`the codec cannot encode the body: ${String((error as Error)?.message ?? error)}`, index), {
        cause: error,
      });
    }
  }
  if (typeof value === "string") return value;
  const bytes = bytesOf(value);
  if (bytes !== undefined) return bytes.byteLength === 0 ? NOTHING : bytes;
  const kind = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`.replace("a object", "an object");
  throw invalid(`an event's body is text or bytes, not ${kind}: give a codec, such as json(), for other values`, index);
}
