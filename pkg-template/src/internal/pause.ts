// Waiting for a time, or for something to happen.

import { Timer } from "./tasks.js";

/** Resolves after a time, or when it is given up on. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.stop();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = Timer.start(done, milliseconds);
    signal?.addEventListener("abort", done);
  });
}

/** What work comes to, or undefined when that takes longer; it goes on, and nobody hears of it. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<{ value: T } | undefined> {
  work.catch(() => undefined);
  let timer: Timer | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = Timer.start(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([work.then((value) => ({ value })), late]);
  } finally {
    timer?.stop();
  }
}

/** Something that happens again and again. */
export class Bell {
  #waiting: (() => void)[] = [];

  /** Resolves when it rings next, or after a time. */
  wait(milliseconds = Infinity): Promise<void> {
    return new Promise((resolve) => {
      if (milliseconds === Infinity) {
        this.#waiting.push(resolve);
        return;
      }
      const timer = Timer.start(() => {
        this.#waiting = this.#waiting.filter((each) => each !== rung);
        resolve();
      }, milliseconds);
      const rung = (): void => {
        timer.stop();
        resolve();
      };
      this.#waiting.push(rung);
    });
  }

  ring(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
