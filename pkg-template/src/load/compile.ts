// Compiling a module, and saying what came instead of it.

import { EventHubsError } from "../error.js";

/** `refused` is what the server said besides, if it did not say that all is well. */
export async function compile(bytes: Uint8Array, from: string, refused?: string): Promise<WebAssembly.Module> {
  const name = from.slice(from.lastIndexOf("/") + 1);
  const fail = (message: string, cause?: unknown): EventHubsError =>
    new EventHubsError("internal", message, { operation: `load ${name}`, cause });
  if (refused !== undefined || !isWasm(bytes)) {
    const what = refused ?? (looksLikeHtml(bytes) ? "a page of HTML" : `${bytes.byteLength} bytes that are no wasm`);
    throw fail(
      `${from} answered with ${what} instead of ${name}: see that the file is served from there, or import 'eventhubs/inline', ` +
        "which has it inside (bundlers that do not know `new URL(..., import.meta.url)` leave the file behind)",
    );
  }
  try {
    return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    throw fail(`${from} cannot be compiled here; a Content-Security-Policy needs 'wasm-unsafe-eval'`, cause);
  }
}

/** By the four bytes that every module begins with. */
function isWasm(bytes: Uint8Array): boolean {
  return bytes[0] === 0x00 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

function looksLikeHtml(bytes: Uint8Array): boolean {
  return /^\s*<(!doctype|html|head|!--)/i.test(new TextDecoder().decode(bytes.subarray(0, 100)));
}
