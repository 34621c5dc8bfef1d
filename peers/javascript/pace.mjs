// Sends at a rate, for as long as it is told: what somebody else's page receives.

import { setTimeout as pause } from "node:timers/promises";

import { body, producer as open } from "./ours.mjs";

/** How often what is due is sent. */
const TICK_MS = 5;
/** Sends that may await their outcome: more means that the rate cannot be held, and it is not. */
const MOST_WAITING = 16;
/** Events of one send: enough to catch up, little enough to stay even. */
const MOST_EVENTS = 1000;

export async function pace({ rate, seconds, size, ...job }) {
  const producer = open(job);
  const event = { body: body(size) };
  await producer.send(event, { partitionId: job.partition });
  let waiting = 0;
  let failure;
  let sent = 0;
  const start = performance.now();
  for (;;) {
    const elapsed = (performance.now() - start) / 1000;
    if (failure !== undefined) throw failure;
    if (elapsed >= seconds) break;
    const due = Math.floor(elapsed * rate) - sent;
    if (due > 0 && waiting < MOST_WAITING) {
      const events = Math.min(due, MOST_EVENTS);
      sent += events;
      waiting += 1;
      producer.send(new Array(events).fill(event), { partitionId: job.partition }).then(
        () => (waiting -= 1),
        (error) => (failure = error),
      );
    }
    await pause(TICK_MS);
  }
  const taken = (performance.now() - start) / 1000;
  await producer.close();
  return { events: sent, seconds: taken };
}
