// The built package, for tests of what is ours alone.

import { rmSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { scratch } from "./pair.mjs";

const folder = await scratch();
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** `eventhubs/compat` and `eventhubs/emulator`, as a program of that folder imports them. */
const at = (path) => import(pathToFileURL(join(folder, "node_modules/eventhubs/dist", path)).href);
export const compat = await at("compat.js");
export const { Emulator } = await at("emulator.js");

export const folderOfOurs = folder;

export const FAST = { retryOptions: { maxRetries: 0, retryDelayInMs: 20, timeoutInMs: 10_000 } };

/** The first true value of a condition; fails when there is none in time. */
export async function eventually(condition, what, deadline = 20_000) {
  const giveUp = performance.now() + deadline;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > giveUp) throw new Error(`not within ${deadline} ms: ${typeof what === "function" ? what() : what}`);
    await pause(5);
  }
}

/** Subscribes to a partition, or to all, and keeps what comes. */
export function reader(client, { partition, ...options } = {}) {
  const seen = { bodies: [], batches: [], errors: [], closed: [], initialized: [] };
  const handlers = {
    processInitialize: async (context) => void seen.initialized.push(context.partitionId),
    processEvents: async (events) => {
      seen.batches.push(events.length);
      seen.bodies.push(...events.map((event) => event.body));
    },
    processError: async (error) => void seen.errors.push(error),
    processClose: async (reason, context) => void seen.closed.push([context.partitionId, reason]),
  };
  const settings = { startPosition: compat.earliestEventPosition, maxBatchSize: 100, maxWaitTimeInSeconds: 1, ...options };
  seen.subscription = partition === undefined ? client.subscribe(handlers, settings) : client.subscribe(partition, handlers, settings);
  return seen;
}
