// Letting the page breathe: loops over events that lie ready run in promises' jobs, and nothing else gets a turn before those are
// done, neither timers nor input nor painting.

import { now, Tasks } from "./tasks.js";

/** The longest that a loop holds up everything else, in milliseconds; a frame has 16. */
const SLICE = 8;
/** Looking at the clock costs as much as an event. */
const EVENTS_PER_LOOK = 32;

const waiting: (() => void)[] = [];
const tasks = new Tasks(() => {
  for (const wake of waiting.splice(0)) wake();
});

/** Says when a loop has gone on for long enough. */
export class Pace {
  #since = now();
  #events = 0;

  /** After each event: whether it is time for {@link rest}. */
  isOver(events = 1): boolean {
    this.#events += events;
    if (this.#events < EVENTS_PER_LOOK) return false;
    this.#events = 0;
    return now() - this.#since > SLICE;
  }

  /** Resolves when everything else had a turn. */
  async rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      tasks.post();
    });
    this.#since = now();
  }
}
