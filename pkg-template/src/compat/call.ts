// Calls that an AbortSignalLike gives up on, with errors as users know them.

import { AbortError, translated } from "./errors.js";
import type { AbortSignalLike } from "./types.js";

/** Makes a call; `work` gets a real signal. */
export async function operation<T>(
  given: AbortSignalLike | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (given === undefined || given === null) {
    try {
      return await work(undefined);
    } catch (error) {
      throw translated(error);
    }
  }
  if (given.aborted) throw new AbortError();
  // What is only like a signal, such as that of `@azure/abort-controller`, is not one that others can be made of.
  const controller = new AbortController();
  const abort = (): void => controller.abort(new AbortError());
  given.addEventListener("abort", abort);
  try {
    return await work(controller.signal);
  } catch (error) {
    throw translated(error);
  } finally {
    given.removeEventListener("abort", abort);
  }
}
