// When checkpoints are written without being asked for: a value that is told of processed events and of time, and says what to write. As
// src/model/auto_checkpoint.rs.
//
// What it says only ever goes forward, and never says nothing: a checkpoint that is wiped or moved back makes a group read everything again.

import { hasNumber, type Mark, positionBehind } from "./checkpoint.js";

/** When checkpoints are written without being asked for. The first condition that holds decides. */
export interface AutoCheckpoint {
  /** When so many events were processed since the last one. */
  everyEvents?: number | undefined;
  /** When an event has been processed for so long without a checkpoint behind it. */
  everyMs?: number | undefined;
  /** When the partition is given up, for whatever has been processed since. */
  onClose?: boolean | undefined;
}

/** What of one partition was processed, and what of that is safe. */
export class Progress {
  readonly #policy: AutoCheckpoint;
  /** What the store has. Nothing behind it is ever written. */
  #safe: Mark | undefined;
  /** The last event that was processed, if it is ahead of what is safe. */
  #ahead: Mark | undefined;
  /** How many events lie between the two. */
  #events = 0;
  /** Since when they wait. */
  #waitingSince: number | undefined;
  /** What is being written, and how many of the events it covers. */
  #writing: { mark: Mark; events: number } | undefined;
  /** Since when events wait that it does not cover. */
  #uncoveredSince: number | undefined;
  /** No attempt before this: the last one failed. */
  #notBefore: number | undefined;

  /** For a partition whose reading begins behind `last`, if it has a checkpoint. */
  constructor(policy: AutoCheckpoint, last: Mark | undefined) {
    this.#policy = policy;
    this.#safe = last;
  }

  /** So many events were processed, the last of them this one. One that was processed before changes nothing. */
  processed(mark: Mark, events: number, now: number): void {
    if (positionBehind(mark) === undefined || !newer(mark, this.#safe) || !newer(mark, this.#ahead)) return;
    this.#ahead = mark;
    this.#events += events;
    this.#waitingSince ??= now;
    if (this.#writing !== undefined) this.#uncoveredSince ??= now;
  }

  /** What has to be written now. Until it is said to be `written` or `failed`, nothing else has to be. */
  due(now: number): Mark | undefined {
    if (this.#writing !== undefined || this.#ahead === undefined || (this.#notBefore !== undefined && now < this.#notBefore)) return undefined;
    if (!this.#isMany(this.#events) && !this.#isLate(this.#waitingSince, now)) return undefined;
    this.#writing = { mark: this.#ahead, events: this.#events };
    this.#uncoveredSince = undefined;
    return this.#ahead;
  }

  /** When to look again at the latest, if no event comes before. */
  nextDeadline(): number | undefined {
    if (this.#writing !== undefined || this.#ahead === undefined || this.#waitingSince === undefined) return undefined;
    const { everyMs } = this.#policy;
    const dueAt = this.#isMany(this.#events) ? this.#waitingSince : everyMs === undefined ? undefined : this.#waitingSince + everyMs;
    return dueAt === undefined ? undefined : Math.max(dueAt, this.#notBefore ?? -Infinity);
  }

  /**
   * Whether no more events should be processed for now: another checkpoint would be due, and the one before is not in the store. What would
   * have to be processed again stays within twice what the policy says, however slow the store is.
   */
  isHeldUp(now: number): boolean {
    if (this.#writing !== undefined) return this.#isMany(this.#events - this.#writing.events) || this.#isLate(this.#uncoveredSince, now);
    return this.#notBefore !== undefined && this.#ahead !== undefined;
  }

  /** What was due is in the store. */
  written(): void {
    if (this.#writing === undefined) return;
    const { mark, events } = this.#writing;
    this.#writing = undefined;
    this.#notBefore = undefined;
    this.#settle(mark);
    this.#events = this.#ahead === undefined ? 0 : Math.max(this.#events - events, 1);
    this.#waitingSince = this.#ahead === undefined ? undefined : this.#uncoveredSince;
  }

  /** What was due could not be written, or nobody knows. It is due again after a pause, or what is then ahead of it. */
  failed(now: number, pauseMs: number): void {
    if (this.#writing === undefined) return;
    this.#writing = undefined;
    this.#notBefore = now + pauseMs;
  }

  /** Whether a checkpoint that somebody asks for goes forward. */
  isForward(mark: Mark): boolean {
    return newer(mark, this.#safe);
  }

  /** Somebody else wrote a checkpoint of this partition, such as the one whose events these are. */
  writtenElsewhere(mark: Mark): void {
    if (positionBehind(mark) === undefined || !newer(mark, this.#safe)) return;
    this.#settle(mark);
    if (this.#ahead !== undefined) return;
    this.#events = 0;
    this.#waitingSince = undefined;
    this.#notBefore = undefined;
  }

  /** The partition is given up: what is left to be written, by the policy. */
  close(): Mark | undefined {
    // What was being written may not have arrived; writing it twice does no harm.
    const last = this.#ahead ?? this.#writing?.mark;
    this.#ahead = undefined;
    this.#writing = undefined;
    this.#events = 0;
    this.#waitingSince = undefined;
    return this.#policy.onClose && last !== undefined && newer(last, this.#safe) ? last : undefined;
  }

  /** The last event that was processed, safe or not. */
  get last(): Mark | undefined {
    return this.#ahead ?? this.#safe;
  }

  #isMany(events: number): boolean {
    return this.#policy.everyEvents !== undefined && events >= this.#policy.everyEvents;
  }

  #isLate(since: number | undefined, now: number): boolean {
    return since !== undefined && this.#policy.everyMs !== undefined && now >= since + this.#policy.everyMs;
  }

  /** `mark` is in the store. */
  #settle(mark: Mark): void {
    if (this.#ahead !== undefined && !newer(this.#ahead, mark)) this.#ahead = undefined;
    if (newer(mark, this.#safe)) this.#safe = mark;
  }
}

/**
 * Whether one lies ahead of another. Where only offsets are known, they are compared by the letter: another offset is another event, and
 * events come in order.
 */
function newer(mark: Mark, than: Mark | undefined): boolean {
  if (than === undefined) return true;
  return hasNumber(mark) && hasNumber(than) ? mark.sequenceNumber > than.sequenceNumber : mark.offset !== than.offset;
}
