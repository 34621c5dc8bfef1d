// AMQP's encoding of JavaScript's values, and back: what crosses into the engine with a structure of its own crosses as this.

import { EventHubsError } from "../error.js";
import { bytesOf } from "./bytes.js";
import { invalid } from "./check.js";

/** How deep lists and maps that are sent may lie within each other. */
const DEEPEST = 16;
/** How deep what is received may. */
const DEEPEST_RECEIVED = 32;
/** Zero-width elements of an array: their bytes do not bound how many there are. */
const MOST_EMPTY = 16;
const NULL = 0x40;
const CONSTANTS: Readonly<Record<number, unknown>> = { [NULL]: null, 0x41: true, 0x42: false, 0x43: 0, 0x44: 0 };
/** Decimal numbers, and a UUID. */
const BYTES = [0x74, 0x84, 0x94, 0x98];
const UNKNOWN = "an unknown type code";
/** By their codes, the type of a number that follows. */
const NUMBERS: Readonly<Record<number, "Uint8" | "Int8" | "Uint16" | "Int16" | "Uint32" | "Int32" | "Float32" | "Float64" | "BigUint64" | "BigInt64">> = {
  ...{ 0x50: "Uint8", 0x52: "Uint8", 0x53: "Uint8", 0x56: "Uint8", 0x51: "Int8", 0x54: "Int8", 0x55: "Int8" },
  ...{ 0x60: "Uint16", 0x61: "Int16", 0x70: "Uint32", 0x71: "Int32", 0x72: "Float32", 0x73: "Uint32" },
  ...{ 0x80: "BigUint64", 0x81: "BigInt64", 0x82: "Float64", 0x83: "BigInt64" },
};
const ENCODER = new TextEncoder();
/** A mark in front of a text is part of it. */
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Memory that grows, and is used again. */
export class Writer {
  protected bytes = new Uint8Array(512);
  #view = new DataView(this.bytes.buffer);
  protected length = 0;

  byte(byte: number): void {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  u32(number: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, number);
    this.length += 4;
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.byteLength);
    this.bytes.set(bytes, this.length);
    this.length += bytes.byteLength;
  }

  text(text: string): void {
    // A UTF-16 unit becomes three bytes at most.
    this.reserve(text.length * 3);
    this.length += ENCODER.encodeInto(text, this.bytes.subarray(this.length)).written;
  }

  /** The length of what `write` writes, and that. */
  sized(write: () => void): void {
    const start = this.length;
    this.u32(0);
    write();
    this.#view.setUint32(start, this.length - start - 4);
  }

  /** A text or bytes behind a head: `code` is that of the short form. */
  variable(code: number, value: string | Uint8Array): void {
    const start = this.length;
    this.byte(code);
    this.u32(0);
    if (typeof value === "string") this.text(value);
    else this.raw(value);
    const size = this.length - start - 5;
    if (size > 0xff) {
      this.bytes[start] = code | 0x10;
      this.#view.setUint32(start + 1, size);
    } else {
      this.bytes[start + 1] = size;
      this.#shift(start + 5, 3);
    }
  }

  /** A list or map of `count` elements, which `write` writes: `code` is that of the short form. */
  compound(code: number, count: number, write: () => void): void {
    const start = this.length;
    this.byte(code | 0x10);
    this.u32(0);
    this.u32(count);
    write();
    const size = this.length - start - 9;
    if (size < 0xff && count <= 0xff) {
      this.bytes.set([code, size + 1, count], start);
      this.#shift(start + 9, 6);
    } else {
      this.#view.setUint32(start + 1, size + 4);
    }
  }

  /** A number of AMQP's; `code` is that of the form with eight bytes. */
  wide(code: number, value: bigint): void {
    this.byte(code);
    this.reserve(8);
    this.#view.setBigInt64(this.length, value);
    this.length += 8;
  }

  ulong(value: bigint): void {
    if (value === 0n) this.byte(0x44);
    else if (value < 0x100n) this.raw(Uint8Array.of(0x53, Number(value)));
    else this.wide(0x80, value);
  }

  uint(value: number): void {
    if (value === 0) this.byte(0x43);
    else if (value < 0x100) this.raw(Uint8Array.of(0x52, value));
    else {
      this.byte(0x70);
      this.u32(value);
    }
  }

  /**
   * Any value. A whole number is an `int` or a `long`, any other a `double`; a `bigint` is a `long`, or a `ulong` where it has to be.
   *
   * @throws EventHubsError when AMQP has no such value.
   */
  value(value: unknown, depth = DEEPEST): void {
    if (value === undefined || value === null) return this.byte(NULL);
    if (typeof value === "string") return this.variable(0xa1, value);
    if (typeof value === "boolean") return this.byte(value ? 0x41 : 0x42);
    if (typeof value === "number") return this.#number(value);
    if (typeof value === "bigint") {
      if (value >= -0x80n && value < 0x80n) return this.raw(Uint8Array.of(0x55, Number(value)));
      if (BigInt.asIntN(64, value) === value) return this.wide(0x81, value);
      if (BigInt.asUintN(64, value) === value) return this.wide(0x80, value);
      throw invalid("a bigint of more than 64 bits cannot be sent");
    }
    if (value instanceof Date) return this.time(value.getTime());
    const bytes = bytesOf(value);
    if (bytes !== undefined) return this.variable(0xa0, bytes);
    if (typeof value !== "object") throw invalid(`a ${typeof value} cannot be sent`);
    if (depth === 0) throw invalid(`lists and objects lie in each other more than ${DEEPEST} deep`);
    if (Array.isArray(value)) return value.length === 0 ? this.byte(0x45) : this.list(value, depth - 1);
    return this.map(Object.entries(value), 0xa1, depth - 1);
  }

  list(items: readonly unknown[], depth = DEEPEST): void {
    this.compound(0xc0, items.length, () => {
      for (const item of items) this.value(item, depth);
    });
  }

  /** `key`: the code of strings, or that of symbols. */
  map(entries: readonly [string, unknown][], key: number, depth = DEEPEST): void {
    this.compound(0xc1, entries.length * 2, () => this.entries(entries, key, depth));
  }

  entries(entries: readonly [string, unknown][], key: number, depth = DEEPEST): void {
    for (const [name, value] of entries) {
      this.variable(key, name);
      this.value(value, depth);
    }
  }

  time(millis: number): void {
    if (Number.isNaN(millis)) throw invalid("an invalid Date cannot be sent");
    this.wide(0x83, BigInt(millis));
  }

  protected reserve(room: number): void {
    const needed = this.length + room;
    if (needed <= this.bytes.byteLength) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.byteLength * 2));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.byte(0x82);
      this.reserve(8);
      this.#view.setFloat64(this.length, value);
      this.length += 8;
    } else if (value >= -0x80 && value < 0x80) {
      this.raw(Uint8Array.of(0x54, value));
    } else if (value === (value | 0)) {
      this.byte(0x71);
      this.u32(value);
    } else {
      this.wide(0x81, BigInt(value));
    }
  }

  /** Moves what begins at `from` to the front by so much. */
  #shift(from: number, by: number): void {
    this.bytes.copyWithin(from - by, from, this.length);
    this.length -= by;
  }
}

/** A list of values, encoded. */
export function encoded(items: readonly unknown[]): Uint8Array {
  return new Message().of(items);
}

class Message extends Writer {
  of(items: readonly unknown[]): Uint8Array {
    this.list(items);
    return this.bytes.subarray(0, this.length);
  }
}

/** Reads what is foreign: bounded. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  /** What is described by a descriptor is read next. */
  descriptor(): unknown {
    if (this.byte() !== 0) throw malformed("a value without the descriptor that is needed here");
    return this.value();
  }

  /** Whole numbers that a number cannot hold are bigints; what has no type in JavaScript is bytes or text. */
  value(depth = DEEPEST_RECEIVED): unknown {
    if (depth < 0) throw malformed("values that nest too deep");
    const code = this.byte();
    if (code !== 0) return this.#of(code, depth);
    return { descriptor: this.value(depth - 1), value: this.value(depth - 1) };
  }

  #of(code: number, depth: number): unknown {
    if (code < 0xa0) return this.#fixed(code);
    const isLong = (code & 0x10) !== 0;
    switch (code & ~0x10) {
      case 0xa0:
        return this.#binary(this.#size(isLong));
      case 0xa1:
      case 0xa3:
        return DECODER.decode(this.#part(this.#size(isLong)));
      case 0xc0:
        return this.#elements(isLong, depth, (inside, depth) => inside.value(depth));
      case 0xc1:
        return this.#map(isLong, depth);
      case 0xe0:
        return this.#array(isLong, depth);
    }
    throw malformed(UNKNOWN);
  }

  /** Values whose width is said by their code. */
  #fixed(code: number): unknown {
    if (code === 0x45) return [];
    if (Object.hasOwn(CONSTANTS, code)) return CONSTANTS[code];
    const width = 2 ** ((code >> 4) - 5);
    const type = NUMBERS[code];
    if (type === undefined) {
      if (!BYTES.includes(code)) throw malformed(UNKNOWN);
      const bytes = this.#binary(width);
      if (code !== 0x98) return bytes;
      const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    }
    const number = this.#view[`get${type}`](this.#take(width));
    if (code === 0x56) return number === 1;
    if (code === 0x73) return this.#char(number as number);
    if (code === 0x83) return new Date(Number(number));
    return typeof number === "bigint" && Number.isSafeInteger(Number(number)) ? Number(number) : number;
  }

  #char(point: number): string {
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) throw malformed("a char that is none");
    return String.fromCodePoint(point);
  }

  /** An object where every key is a text, else a `Map`. */
  #map(isLong: boolean, depth: number): unknown {
    let isObject = true;
    const flat = this.#elements(isLong, depth, (inside, depth, index) => {
      if (index % 2 === 0) isObject &&= [0xa1, 0xa3, 0xb1, 0xb3].includes(inside.#bytes[inside.#at]!);
      return inside.value(depth);
    });
    if (flat.length % 2 !== 0) throw malformed("a map with a key that has no value");
    const pairs = flat.flatMap((key, index) => (index % 2 === 0 ? [[key, flat[index + 1]] as [string, unknown]] : []));
    return isObject ? Object.fromEntries(pairs) : new Map(pairs);
  }

  #array(isLong: boolean, depth: number): unknown[] {
    let code = 0;
    let descriptor: unknown;
    let isDescribed = false;
    return this.#elements(isLong, depth, (inside, depth, index, count) => {
      if (index === 0) {
        code = inside.byte();
        if (code === 0) {
          isDescribed = true;
          descriptor = inside.value(depth);
          code = inside.byte();
        }
        if (code >> 4 === 4 && count > MOST_EMPTY) throw malformed("an array of too many elements without width");
      }
      const value = inside.#of(code, depth);
      return isDescribed ? { descriptor, value } : value;
    });
  }

  #elements(isLong: boolean, depth: number, read: (inside: Reader, depth: number, index: number, count: number) => unknown): unknown[] {
    const inside = new Reader(this.#part(this.#size(isLong)));
    const count = inside.#size(isLong);
    const elements: unknown[] = [];
    for (let index = 0; index < count; index++) elements.push(read(inside, depth - 1, index, count));
    return elements;
  }

  #size(isLong: boolean): number {
    return isLong ? this.#view.getUint32(this.#take(4)) : this.byte();
  }

  /** A copy: what is left of an event may be small. */
  #binary(size: number): Uint8Array {
    return this.#part(size).slice();
  }

  #part(size: number): Uint8Array {
    const start = this.#take(size);
    return this.#bytes.subarray(start, start + size);
  }

  #take(size: number): number {
    if (!(size <= this.#bytes.byteLength - this.#at)) throw malformed("bytes that end too soon");
    this.#at += size;
    return this.#at - size;
  }
}

export function malformed(why: string): EventHubsError {
  return new EventHubsError("protocol", `the event cannot be decoded: ${why}`);
}
