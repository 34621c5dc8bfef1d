/** What went wrong, as a word that does not change between versions. */
export type ErrorCode =
  | "invalid-argument"
  | "invalid-connection-string"
  | "unauthorized"
  | "not-found"
  | "message-too-large"
  | "quota-exceeded"
  | "server-busy"
  | "timeout"
  | "connection-lost"
  | "connect-failed"
  | "ownership-lost"
  | "invalid-position"
  | "rejected"
  | "closed"
  | "protocol"
  | "internal";

/** @internal */
export function helpUrl(code: ErrorCode): string {
  return `https://docs.rs/eventhubs/latest/eventhubs/errors/${code.replaceAll("-", "_")}`;
}

/** What an {@link EventHubsError} says besides its code and text. */
export interface ErrorDetails {
  readonly retryable?: boolean;
  readonly operation?: string | undefined;
  readonly entity?: string | undefined;
  readonly attempts?: number | undefined;
  readonly condition?: string | undefined;
  readonly trackingId?: string | undefined;
  readonly eventIndex?: number | undefined;
  readonly outcomeUnknown?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * Every failure of this package: one sentence for people, and a `code` for programs. A call that was given up on by its
 * `AbortSignal` is no failure: it rejects with the signal's reason.
 */
export class EventHubsError extends Error {
  override readonly name = "EventHubsError";
  /** What went wrong. */
  readonly code: ErrorCode;
  /** Whether the same call may succeed when it is made again. The clients have done so already, as `retry` says. */
  readonly retryable: boolean;
  /** What was attempted, such as `send to`. */
  readonly operation: string | undefined;
  /** On what: a hub, or the address of a partition. */
  readonly entity: string | undefined;
  /** How often it was tried; 0 when it never came so far. */
  readonly attempts: number;
  /** The service's own name for it, such as `com.microsoft:server-busy`. */
  readonly condition: string | undefined;
  /** What the service's operators find it by. */
  readonly trackingId: string | undefined;
  /** Which of the events that were given is to blame. */
  readonly eventIndex: number | undefined;
  /**
   * Whether what was sent may have been stored all the same: it left, and the answer of at least one attempt never came. Sending it again
   * may store it twice; not sending it again may lose it.
   */
  readonly outcomeUnknown: boolean;
  /** How long the service asked to wait before trying again, where it said so. */
  readonly retryAfterMs: number | undefined;

  /** The page that explains errors of this code and says what to do. */
  get helpUrl(): string {
    return helpUrl(this.code);
  }

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.operation = details.operation;
    this.entity = details.entity;
    this.attempts = details.attempts ?? 0;
    this.condition = details.condition;
    this.trackingId = details.trackingId;
    this.eventIndex = details.eventIndex;
    this.outcomeUnknown = details.outcomeUnknown ?? false;
    this.retryAfterMs = details.retryAfterMs;
  }
}
