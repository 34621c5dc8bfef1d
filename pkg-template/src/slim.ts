/**
 * The same as `eventhubs`, without a way to find the engine: `await init(...)` gives it, before the first call.
 *
 * ```ts
 * import { init, ProducerClient } from "eventhubs/slim";
 * import wasm from "eventhubs/eventhubs.wasm?url";
 * await init(new URL(wasm, location.href));
 * ```
 *
 * @module
 */

import { EventHubsError } from "./error.js";
import { bytesOf } from "./internal/bytes.js";
import { startWith } from "./internal/engine.js";
import { compile } from "./load/compile.js";

export * from "./core.js";

/** Gives the engine: `eventhubs.wasm` as a compiled module, its bytes, a response that brings it, or where to fetch it. */
export function init(engine: WebAssembly.Module | Uint8Array | ArrayBuffer | Response | URL | string): Promise<void> {
  return startWith(moduleOf(engine));
}

async function moduleOf(given: unknown): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return given;
  const bytes = bytesOf(given);
  if (bytes !== undefined) return compile(bytes, "what init was given");
  const response = given instanceof URL || typeof given === "string" ? await fetch(given) : (given as Response);
  if (typeof response?.arrayBuffer !== "function") {
    throw new EventHubsError("invalid-argument", "init takes a WebAssembly.Module, bytes, a Response or a URL");
  }
  const body = new Uint8Array(await response.arrayBuffer());
  return compile(body, response.url || "what init was given", response.ok ? undefined : `HTTP ${response.status}`);
}
