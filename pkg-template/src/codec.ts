import type { ReceivedEvent } from "./received.js";

/** What a body is made of when it travels. */
export type Body = string | Uint8Array | ArrayBuffer | ArrayBufferView;

/** How values become bodies, and bodies values again. */
export interface Codec<T> {
  /** Said of every event that is sent and does not say itself. */
  readonly contentType?: string | undefined;
  /** The body of a value. */
  encode(value: T): Body;
  /** The value of a body. What it throws is the error of that event's `decoded`, thrown where its `body` is read and nowhere else. */
  decode(bytes: Uint8Array, event: ReceivedEvent<unknown>): T;
}

/** A body that is not UTF-8 is an error, not a row of question marks. */
const STRICT = new TextDecoder("utf-8", { fatal: true });

const JSON_CODEC: Codec<unknown> = {
  contentType: "application/json",
  encode: (value) => {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
    return text;
  },
  decode: (bytes) => JSON.parse(STRICT.decode(bytes)),
};

const TEXT_CODEC: Codec<string> = {
  contentType: "text/plain; charset=utf-8",
  encode: (value) => value,
  decode: (bytes) => STRICT.decode(bytes),
};

const BYTES_CODEC: Codec<Uint8Array> = { encode: (value) => value, decode: (bytes) => bytes };

/** JSON, as `JSON.stringify` makes it. `T` is what you expect to arrive; nobody checks it. */
export function json<T = unknown>(): Codec<T> {
  return JSON_CODEC as Codec<T>;
}

/** Text in UTF-8. */
export function text(): Codec<string> {
  return TEXT_CODEC;
}

/** Bytes as they are: what is used when no codec is given. */
export function bytes(): Codec<Uint8Array> {
  return BYTES_CODEC;
}
