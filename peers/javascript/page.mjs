// What a page's module exports, whichever SDK it is bundled with.

import * as sdk from "sdk";

import { measure as run } from "./cases.mjs";

export function measure(job) {
  return run(sdk, { ...job, WebSocket: globalThis.WebSocket });
}

/** Receives from now on, and counts: see smooth.mjs. */
export async function follow(job) {
  const seen = { events: 0, longest: 0, failure: undefined };
  let next;
  const take = (events) => {
    for (const event of events) {
      if (event.body.length !== job.size) seen.failure ??= `an event of ${event.body.length} bytes`;
      if (next !== undefined && event.sequenceNumber !== next) seen.failure ??= `event ${event.sequenceNumber} came instead of ${next}`;
      next = event.sequenceNumber + 1;
    }
    seen.events += events.length;
  };
  new PerformanceObserver((entries) => {
    for (const { duration } of entries.getEntries()) seen.longest = Math.max(seen.longest, duration);
  }).observe({ type: "longtask" });
  await sdk.follow({ ...job, WebSocket: globalThis.WebSocket }, take, (error) => (seen.failure ??= String(error?.message ?? error)));
  globalThis.seen = seen;
}
