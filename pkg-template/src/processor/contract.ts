// What every store promises, as a suite that runs on any.

import { within } from "../internal/pause.js";
import type { CheckpointStore } from "./checkpoint.js";
import { CHECKPOINTS } from "./contract/checkpoints.js";
import { NAMES } from "./contract/names.js";
import { OWNERSHIP } from "./contract/ownership.js";
import { Broken, type CheckpointStorePromise, Stage } from "./contract/stage.js";

export type { CheckpointStorePromise };

/** How long a single promise may take. The longest one writes a thousand records. */
const PATIENCE_MS = 120_000;

/**
 * What a group of processors relies on, promise by promise, for any runner of tests:
 *
 * ```ts
 * for (const { promise, run } of checkpointStorePromises(() => new MyStore(url))) test(promise, run);
 * ```
 *
 * `makeStore` makes a store on the same place each time, as several processes would. The promises are looked into in groups of namespaces
 * with names of their own, which nobody cleans up; everything else is left alone.
 */
export function checkpointStorePromises(makeStore: () => CheckpointStore | Promise<CheckpointStore>): CheckpointStorePromise[] {
  let stage: Promise<Stage> | undefined;
  const staged = (): Promise<Stage> => (stage ??= Promise.all([makeStore(), makeStore()]).then((stores) => new Stage(stores)));
  return [...OWNERSHIP, ...CHECKPOINTS, ...NAMES].map(([promise, look]) => ({
    promise,
    run: async () => {
      const done = await within(PATIENCE_MS, staged().then(look));
      if (done === undefined) throw new Broken(`there was no answer within ${PATIENCE_MS / 1000} s`);
    },
  }));
}

/**
 * Looks whether a store keeps what a group of processors relies on. Resolves to the promises that it kept.
 *
 * @throws AggregateError when it broke some: an error for each, that says what the store did instead.
 */
export async function testCheckpointStore(makeStore: () => CheckpointStore | Promise<CheckpointStore>): Promise<string[]> {
  const kept: string[] = [];
  const broken: Error[] = [];
  for (const { promise, run } of checkpointStorePromises(makeStore)) {
    try {
      await run();
      kept.push(promise);
    } catch (error) {
      broken.push(new Error(`"${promise}", but ${String((error as Error | undefined)?.message ?? error)}`, { cause: error }));
    }
  }
  if (broken.length === 0) return kept;
  throw new AggregateError(broken, `the store broke what it promises:\n  ${broken.map(({ message }) => message).join("\n  ")}`);
}
