// Compiling the emulator's module, and saying what came instead of it.

import { emulatorError } from "./error.js";

/** `refused` is what the server said besides, if it did not say that all is well. */
export async function compile(bytes: Uint8Array, from: string, refused?: string): Promise<WebAssembly.Module> {
  const operation = "load the emulator";
  if (refused !== undefined || !isWasm(bytes)) {
    const what = refused ?? (looksLikeHtml(bytes) ? "a page of HTML" : `${bytes.byteLength} bytes that are no wasm`);
    throw emulatorError(
      "internal",
      `${from} answered with ${what} instead of the emulator's wasm: see that eventhubs-emulator.wasm is served from there`,
      { operation },
    );
  }
  try {
    return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    throw emulatorError(
      "internal",
      `the emulator's wasm from ${from} cannot be compiled here; a Content-Security-Policy needs 'wasm-unsafe-eval'`,
      { operation, cause },
    );
  }
}

/** By the four bytes that every module begins with. */
function isWasm(bytes: Uint8Array): boolean {
  return bytes[0] === 0x00 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

function looksLikeHtml(bytes: Uint8Array): boolean {
  return /^\s*<(!doctype|html|head|!--)/i.test(new TextDecoder().decode(bytes.subarray(0, 100)));
}
