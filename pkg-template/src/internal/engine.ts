// The client's wasm: one instance for all clients, made when the first call needs it.

import { EventHubsError } from "../error.js";
import { cancel, Hub, initSync } from "../wasm/eventhubs.js";

/** What every page needs. What few need is imported by those: a bundle leaves the rest out. */
const ENGINE = { cancel, Hub };

export type Engine = typeof ENGINE;

/** Where the module comes from, and a class of WebSockets for runtimes without one. */
export interface Source {
  module(): Promise<WebAssembly.Module>;
  webSocket(): Promise<unknown>;
}

let source: Source | undefined;
let started: Promise<Engine> | undefined;

/** The first one that is given counts. */
export function useSource(given: Source): void {
  source ??= given;
}

/** Starts with `module`, whatever was given before. Does nothing when the engine runs already. */
export function startWith(module: Promise<WebAssembly.Module>): Promise<void> {
  started ??= start(() => module);
  return started.then(() => undefined);
}

export function engine(): Promise<Engine> {
  started ??= start(() => {
    if (source === undefined) {
      throw new EventHubsError("internal", "the engine was not given: await init(...) of 'eventhubs/slim' first");
    }
    return source.module();
  });
  return started;
}

/** A class of WebSockets for a runtime without one. */
export async function spareWebSocket(): Promise<unknown> {
  return source?.webSocket();
}

async function start(module: () => Promise<WebAssembly.Module>): Promise<Engine> {
  try {
    initSync({ module: await module() });
    return ENGINE;
  } catch (error) {
    // The next call may fare better: the network may be back.
    started = undefined;
    throw error instanceof EventHubsError
      ? error
      : new EventHubsError("internal", `eventhubs.wasm could not be started: ${String((error as Error)?.message ?? error)}`, {
          operation: "load eventhubs.wasm",
          retryable: true,
          cause: error,
        });
  }
}
