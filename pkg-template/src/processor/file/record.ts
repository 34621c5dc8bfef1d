// One record as text that people can read: a head, a field a line, and an end that says it is whole. As
// src/checkpoint/native/file/record.rs:
//
//   eventhubs checkpoint 1
//   partition=0
//   offset=4096
//   sequence-number=17
//   end

import { hex, unescaped } from "./names.js";

const HEAD = "eventhubs";
const VERSION = "1";
const END = "end";

export function recordText(kind: string, fields: readonly (readonly [string, string])[]): string {
  return [`${HEAD} ${kind} ${VERSION}`, ...fields.map(([name, text]) => `${name}=${escaped(text)}`), END, ""].join("\n");
}

/**
 * The fields of a record of this kind.
 *
 * @throws Error that says what is wrong with it.
 */
export function recordFields(bytes: Uint8Array, kind: string): ReadonlyMap<string, string> {
  if (bytes.length === 0) throw new Error("it is empty");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error("it is not text");
  }
  const lines = text.split(/\r?\n/);
  const [head, of, version, ...more] = lines.shift()!.split(" ");
  if (head !== HEAD || of !== kind || version === undefined || more.length > 0) throw new Error(`its first line is not '${HEAD} ${kind} ${VERSION}'`);
  if (version !== VERSION) throw new Error(`it has the version '${version.slice(0, 20)}', known is ${VERSION}`);
  const fields = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    // The last piece of the text ends no line: it was cut there.
    if (line === END) return fields;
    const [name, ...rest] = line.split("=");
    if (rest.length === 0 || name === undefined) {
      if (index + 1 === lines.length) break;
      throw new Error(`its line '${line.slice(0, 40)}' is neither a field nor the end`);
    }
    try {
      if (!fields.has(name)) fields.set(name, unescaped(rest.join("="), true));
    } catch {
      throw new Error(`its field '${name}' is not UTF-8`);
    }
  }
  throw new Error("its end is missing");
}

export function textOf(fields: ReadonlyMap<string, string>, name: string): string {
  const text = fields.get(name);
  if (text === undefined) throw new Error(`its field '${name}' is missing`);
  return text;
}

export function numberOf(fields: ReadonlyMap<string, string>, name: string): number {
  const text = textOf(fields, name);
  if (!/^[+-]?\d+$/.test(text)) throw new Error(`its field '${name}' is not a number`);
  if (!Number.isSafeInteger(Number(text))) throw new Error(`its field '${name}' is larger than a JavaScript number holds exactly`);
  return Number(text);
}

/** What would be taken for something else in a line, and all that is not ASCII. */
function escaped(text: string): string {
  return text.replace(/[^ -$&-~]+/gu, (piece) => [...new TextEncoder().encode(piece)].map((byte) => `%${hex(byte).toUpperCase()}`).join(""));
}
