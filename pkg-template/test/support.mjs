// The built package, and waiting for what is to come.

import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

const DEADLINE = 10_000;

/** The folder that `cargo xtask package` made, or another one that is to be tested. */
export const built =
  process.env.EVENTHUBS_PACKAGE ?? fileURLToPath(new URL("../../target/package/eventhubs", import.meta.url));

/** A file of the package's `dist`. */
export function dist(name) {
  return import(pathToFileURL(`${built}/dist/${name}`).href);
}

/** The first true value of a condition; fails when there is none in time. */
export async function eventually(condition, what) {
  const giveUp = performance.now() + DEADLINE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > giveUp) throw new Error(`not within ${DEADLINE} ms: ${what}`);
    await pause(2);
  }
}

/** The next event of that type. */
export function next(target, type) {
  return new Promise((resolve, reject) => {
    const overdue = setTimeout(() => reject(new Error(`no ${type} within ${DEADLINE} ms`)), DEADLINE);
    target.addEventListener(
      type,
      (event) => {
        clearTimeout(overdue);
        resolve(event);
      },
      { once: true },
    );
  });
}
