// Calls into the engine: what they are given up by, and what they fail with.

import { type ErrorCode, EventHubsError } from "../error.js";
import { type Engine, engine } from "./engine.js";

/** What any call takes. */
export interface CallOptions {
  /** Gives up on the call: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Tickets name calls that may be given up on; 0 names none. */
let lastTicket = 0;

/** Makes a call that `signal` gives up on. */
export async function call<T>(
  signal: AbortSignal | undefined,
  make: (ticket: number, engine: Engine) => Promise<unknown> | unknown,
): Promise<T> {
  const running = await raced(engine(), signal);
  if (signal === undefined) {
    try {
      return (await make(0, running)) as T;
    } catch (error) {
      throw toError(error);
    }
  }
  // It may have come while the engine was waited for, and is not told again.
  if (signal.aborted) throw abortReason(signal);
  lastTicket = (lastTicket % 0xffff_ffff) + 1;
  const ticket = lastTicket;
  const giveUp = (): void => running.cancel(ticket);
  signal.addEventListener("abort", giveUp);
  try {
    return (await make(ticket, running)) as T;
  } catch (error) {
    throw error === undefined ? abortReason(signal) : toError(error);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Waits no longer than `signal` allows; what is waited for goes on. */
export function raced<R>(work: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return work;
  if (signal.aborted) {
    // What it comes to concerns nobody any more.
    work.catch(() => undefined);
    return Promise.reject(abortReason(signal));
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortReason(signal));
    signal.addEventListener("abort", abort);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** What a signal without a reason of its own gives up for. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new DOMException("The operation was aborted.", "AbortError");
}

/** The engine throws lists, see src/js/error.rs; everything else is passed on as it is. */
export function toError(thrown: unknown): unknown {
  if (!Array.isArray(thrown)) return thrown;
  const [code, message, retryable, attempts, operation, entity, condition, trackingId, eventIndex, outcomeUnknown, retryAfterMs] = thrown as unknown as Raw;
  const details = { retryable, attempts, operation, entity, condition, trackingId, eventIndex, outcomeUnknown, retryAfterMs };
  return new EventHubsError(code, message, details);
}

type Raw = readonly [
  code: ErrorCode,
  message: string,
  retryable: boolean,
  attempts: number,
  operation: string | undefined,
  entity: string | undefined,
  condition: string | undefined,
  trackingId: string | undefined,
  eventIndex: number | undefined,
  outcomeUnknown: boolean,
  retryAfterMs: number | undefined,
];

/** Runs what calls the engine and does not wait. */
export function now<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toError(error);
  }
}
