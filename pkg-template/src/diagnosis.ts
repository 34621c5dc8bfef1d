/** What is looked at, in this order. */
export type CheckName = "dns" | "socket" | "tls" | "websocket" | "sasl" | "cbs" | "entity" | "rights" | "clock";

/** Whether something works. `skipped`: it could not be looked at, or there is nothing to look at; the detail says why. */
export type Verdict = "ok" | "warning" | "failed" | "skipped";

/** One thing that was looked at. */
export interface Check {
  readonly name: CheckName;
  readonly verdict: Verdict;
  /** What was found. */
  readonly detail: string;
  /** What to do about it, where there is something to do. */
  readonly hint: string | undefined;
  /** How long it took, in milliseconds. */
  readonly tookMs: number;
}

/** What works, and what does not, on the way to an event hub. */
export interface Diagnosis {
  /** What was dialled. */
  readonly endpoint: string;
  readonly eventHub: string;
  /** All of them are there, however early it went wrong. */
  readonly checks: readonly Check[];
  /** Whether nothing has failed. */
  readonly isOk: boolean;
}

/** How long a diagnosis may take. */
export interface DiagnoseOptions {
  /** The check that is under way after so many milliseconds has `failed`, and those behind it are `skipped`. Default, and at most: 28 000. */
  timeoutMs?: number | undefined;
}
