import { hexDump } from "./format.ts";

export type BodyFormat = "auto" | "json" | "text" | "hex";

/** A body as it is shown. */
export interface ShownBody {
  readonly format: "json" | "text" | "hex";
  readonly text: string;
  /** Bytes that are not shown. */
  readonly hidden: number;
  /** Why it is not shown as was asked. */
  readonly note: string | undefined;
}

/** More than this of a text, or a quarter of it in hexadecimal, is no help to a reader and stops the page. */
const MOST_SHOWN = 256 * 1024;

/** Shows a body in a format, or in the one that fits it best. */
export function showBody(data: Uint8Array, format: BodyFormat): ShownBody {
  if (format === "hex") return hex(data, undefined);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    if (format === "auto") return hex(data, undefined);
    text = new TextDecoder().decode(data);
    if (format === "json") return cut("text", text, data.length, "This is no JSON: it is not even UTF-8.");
    return cut("text", text, data.length, "Not all of it is UTF-8; what is not is shown as \ufffd.");
  }
  if (format === "text") return cut("text", text, data.length, undefined);
  // A word or number alone is JSON as well, but nobody means it.
  if (format === "auto" && !/^\s*[[{]/.test(text)) {
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? hex(data, undefined) : cut("text", text, data.length, undefined);
  }
  if (data.length > MOST_SHOWN) return cut("text", text, data.length, "Too long to be laid out as JSON.");
  try {
    JSON.parse(text);
    return cut("json", prettyJson(text), data.length, undefined);
  } catch (error) {
    const why = format === "json" && error instanceof Error ? `This is no JSON: ${error.message}` : undefined;
    return cut("text", text, data.length, why);
  }
}

function hex(data: Uint8Array, note: string | undefined): ShownBody {
  const shown = data.subarray(0, MOST_SHOWN / 4);
  return { format: "hex", text: hexDump(shown), hidden: data.length - shown.length, note };
}

function cut(format: "json" | "text", text: string, length: number, note: string | undefined): ShownBody {
  // Indentation makes JSON longer than its bytes; it was short enough before.
  const shown = format === "json" ? text : text.slice(0, MOST_SHOWN);
  return { format, text: shown, hidden: shown.length < text.length ? length - shown.length : 0, note };
}

/** Lays JSON out without parsing its values: a number that JavaScript cannot hold stays what it is. */
export function prettyJson(text: string): string {
  let out = "";
  let depth = 0;
  const line = (): string => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out = /[[{]\s*$/.test(out.slice(-2 - 2 * (depth + 1))) ? out.trimEnd() + token : out + line() + token;
    } else if (token === ",") {
      out += token + line();
    } else {
      out += token === ":" ? ": " : token;
    }
  }
  return out;
}
