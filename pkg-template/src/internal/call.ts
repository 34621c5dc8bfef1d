// Calls into the engine: what they are given up by, and what they fail with.

import { type ErrorCode, EventHubsError, helpUrl } from "../error.js";
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

/** What an error of the engine says besides: without what was attempted, and when, as the service's clock had it. */
interface Told {
  readonly text: string;
  readonly saidAt: string | undefined;
}

const TOLD = new WeakMap<object, Told>();

/** What the engine said. */
export function toldBy(error: unknown): Told | undefined {
  return TOLD.get(error as object);
}

/** The engine throws lists, see src/js/error.rs; everything else is passed on as it is. */
export function toError(thrown: unknown): unknown {
  if (!Array.isArray(thrown)) return thrown;
  const [code, text, retryable, attempts, operation, entity, condition, trackingId, eventIndex, outcomeUnknown, retryAfterMs, saidAt] =
    thrown as unknown as Raw;
  const what = [operation && `cannot ${operation}`, entity && `'${entity}'`].filter(Boolean).join(" ");
  const parts = [what && `${what}: `, eventIndex !== undefined && `event ${eventIndex}: `, text, ` (${code}`];
  parts.push(attempts > 0 && `, after ${attempts} attempt${attempts === 1 ? "" : "s"}`, outcomeUnknown && ", may have been stored");
  const message = `${parts.filter(Boolean).join("")}); see ${helpUrl(code)}`;
  const details = { retryable, attempts, operation, entity, condition, trackingId, eventIndex, outcomeUnknown, retryAfterMs };
  const error = new EventHubsError(code, message, details);
  TOLD.set(error, { text, saidAt });
  return error;
}

type Raw = readonly [
  code: ErrorCode,
  text: string,
  retryable: boolean,
  attempts: number,
  operation: string | undefined,
  entity: string | undefined,
  condition: string | undefined,
  trackingId: string | undefined,
  eventIndex: number | undefined,
  outcomeUnknown: boolean,
  retryAfterMs: number | undefined,
  saidAt: string | undefined,
];

/** Runs what calls the engine and does not wait. */
export function now<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toError(error);
  }
}
