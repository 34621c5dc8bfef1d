// Writes the checkpoints of one partition: one at a time, forward only, and none while the partition may be another's. As
// src/processor/keeper.rs.

import { within } from "../internal/pause.js";
import { now, Timer } from "../internal/tasks.js";
import type { GroupStore } from "./caller.js";
import type { Checkpoint, Mark } from "./checkpoint.js";
import { type AutoCheckpoint, Progress } from "./progress.js";

/** What a keeper needs to know of its partition. */
export interface Kept {
  readonly partitionId: string;
  /** Whether nothing more is written by itself. */
  readonly isEnding: boolean;
  /** Resolves when it is certain that the partition is owned; rejects when it is lost. */
  sure(): Promise<void>;
  /** A checkpoint was written, or could not be: events that were held back may follow. */
  written(): void;
  failed(error: unknown): Promise<void>;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export class Keeper {
  readonly #kept: Kept;
  readonly #store: GroupStore;
  readonly #policy: AutoCheckpoint;
  #progress: Progress;
  /** The progress since somebody went elsewhere, until the first checkpoint from there. */
  #soughtWith: Progress | undefined;
  #timer: Timer | undefined;
  /** Writes, one after the other: of two at once the store might keep the older. */
  #writes: Promise<unknown> = Promise.resolve();
  #failures = 0;

  constructor(kept: Kept, store: GroupStore, policy: AutoCheckpoint, last: Checkpoint | undefined) {
    this.#kept = kept;
    this.#store = store;
    this.#policy = policy;
    this.#progress = new Progress(policy, last);
  }

  /** The last event that was processed, or the checkpoint. */
  get last(): Mark | undefined {
    return this.#progress.last;
  }

  /** Whether no more events should be processed before a checkpoint is written. */
  get isHeldUp(): boolean {
    return this.#progress.isHeldUp(now());
  }

  /** So many events were processed, up to this one. Begins to write a checkpoint when it is time. */
  processed({ sequenceNumber, offset }: Mark, events: number): void {
    this.#progress.processed({ sequenceNumber, offset }, events, now());
    this.#look();
  }

  /** Writes a checkpoint. One that is not ahead of what is stored is done already. */
  async checkpoint(mark: Mark): Promise<void> {
    const progress = this.#progress;
    await this.#inTurn(async () => {
      await this.#put(mark, progress);
      progress.writtenElsewhere(mark);
      this.#kept.written();
    });
  }

  /** Reading begins elsewhere: from there it goes forward again. */
  restart(): void {
    this.#progress = new Progress(this.#policy, undefined);
    this.#soughtWith = this.#progress;
  }

  /** Writes nothing more by itself. */
  stop(): void {
    this.#timer?.stop();
  }

  /** The last one, when the partition is given up; what is on its way comes first, for so long. */
  async close(patienceMs: number): Promise<void> {
    await within(patienceMs, this.#writes);
    const mark = this.#progress.close();
    if (mark === undefined) return;
    try {
      await this.#inTurn(() => this.#put(mark, this.#progress));
    } catch (error) {
      await this.#kept.failed(error);
    }
  }

  /** Writes a checkpoint when one is due, or looks again when it will be. */
  #look(): void {
    if (this.#kept.isEnding) return;
    this.#timer?.stop();
    const progress = this.#progress;
    const due = progress.due(now());
    if (due !== undefined) {
      void this.#write(progress, due);
      return;
    }
    const deadline = progress.nextDeadline();
    if (deadline !== undefined) this.#timer = Timer.start(() => this.#look(), deadline - now());
  }

  async #write(progress: Progress, mark: Mark): Promise<void> {
    try {
      await this.#inTurn(() => this.#put(mark, progress));
      this.#failures = 0;
      progress.written();
    } catch (error) {
      progress.failed(now(), pauseAfter(this.#failures++));
      await this.#kept.failed(error);
    }
    this.#kept.written();
    this.#look();
  }

  async #put(mark: Mark, progress: Progress): Promise<void> {
    await this.#kept.sure();
    if (!progress.isForward(mark)) return;
    // A store may leave what is ahead and not known here; what is put back on purpose is to be known.
    if (this.#soughtWith === progress) await this.#store.listCheckpoints();
    await this.#store.updateCheckpoint(this.#kept.partitionId, mark);
    if (this.#soughtWith === progress) this.#soughtWith = undefined;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#writes.then(work);
    this.#writes = done.catch(() => undefined);
    return done;
  }
}

/** How long what failed so often is left alone. */
export function pauseAfter(failures: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
}
