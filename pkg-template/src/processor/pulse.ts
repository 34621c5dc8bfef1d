// Whether the process stood still: a page that was frozen, a machine that slept, a thread that was blocked. As src/processor/pulse.rs.
//
// Others may have taken a partition meanwhile, as they may at any time; but who stood still has heard nothing of it, and has events that
// arrived before.

import type { Moment } from "./sightings.js";

/** The share of a round that may pass without a word. Shorter silence costs little: what others take is told by the service at once. */
const SHARE = 4;
/** What a busy machine takes now and then. */
const LEAST_MS = 1000;
/** What a machine that has time never takes. */
const MOST_MS = 5000;

/** Is told the time again and again, and notices when it was not for long. */
export class Pulse {
  readonly #patienceMs: number;
  #seen: Moment | undefined;
  #wokenAt = -Infinity;

  /** For a member whose rounds take so long. */
  constructor(intervalMs: number) {
    this.#patienceMs = Math.min(Math.max(intervalMs / SHARE, LEAST_MS), MOST_MS);
  }

  /**
   * It is now. Whether it was not for long: by the clock that only goes forward, or by the calendar, which goes on while the machine sleeps. A
   * calendar that is put forward looks the same; that costs a question to the store.
   */
  beat(moment: Moment): boolean {
    const before = this.#seen;
    this.#seen = moment;
    if (before === undefined || Math.max(moment.now - before.now, moment.unix - before.unix) < this.#patienceMs) return false;
    this.#wokenAt = moment.now;
    return true;
  }

  /** How often it has to be told the time. */
  get everyMs(): number {
    return this.#patienceMs / 2;
  }

  /** When it was noticed last that the process had stood still. What was known before may not be so any more. */
  get wokenAt(): number {
    return this.#wokenAt;
  }
}
