import type { RetryOptions as EngineRetry } from "../options.js";

/** How pauses between attempts grow. */
export enum RetryMode {
  Exponential = 0,
  Fixed = 1,
}

/** How often and how fast an operation that failed for a passing reason is tried again. */
export interface RetryOptions {
  /** Default: 3. */
  maxRetries?: number;
  /** Default: 30 000. */
  retryDelayInMs?: number;
  /** How long one attempt may take, and how long a connection may take to be made. Default: 60 000. */
  timeoutInMs?: number;
  /** Default: `Fixed`. */
  mode?: RetryMode;
  /** The longest pause of `Exponential`. Default: 90 000. */
  maxRetryDelayInMs?: number;
}

const MAX_RETRIES = 3;
const RETRY_DELAY = 30_000;
const MAX_RETRY_DELAY = 90_000;
const TIMEOUT = 60_000;
/** Exponential pauses are made longer or shorter by this share. */
const JITTER = 0.2;

/** The pause after a first failure. */
export function pauseOf(options: RetryOptions | undefined): number {
  return orDefault(options?.retryDelayInMs, RETRY_DELAY);
}

/** How long one attempt may take. */
export function timeoutOf(options: RetryOptions | undefined): number {
  const given = options?.timeoutInMs;
  return typeof given === "number" && Number.isFinite(given) && given >= 0 ? given : TIMEOUT;
}

/** The same for the engine. */
export function engineRetry(options: RetryOptions | undefined): EngineRetry {
  const isExponential = options?.mode === RetryMode.Exponential;
  const pause = pauseOf(options);
  return {
    maxAttempts: Math.min(Math.trunc(orDefault(options?.maxRetries, MAX_RETRIES)), 0xffff_fffe) + 1,
    baseDelayMs: pause,
    maxDelayMs: isExponential ? orDefault(options?.maxRetryDelayInMs, MAX_RETRY_DELAY) : pause,
    jitter: isExponential ? JITTER : 0,
    attemptTimeoutMs: timeoutOf(options),
  };
}

/** Negative and missing values count as not given. */
function orDefault(given: number | undefined, fallback: number): number {
  return typeof given === "number" && given >= 0 ? given : fallback;
}
