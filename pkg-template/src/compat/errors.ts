// Errors as users of `@azure/event-hubs` know them: by the `code` of a MessagingError.

import { type ErrorCode, EventHubsError } from "../error.js";

/** What the service or the connection to it failed with. */
export class MessagingError extends Error {
  override name = "MessagingError";
  /** What went wrong, such as `UnauthorizedError`. */
  code?: string;
  /** Whether the same operation may succeed when it is tried again. */
  retryable: boolean = true;
  address?: string;
  errno?: number | string;
  port?: number;
  syscall?: string;
  /** What else is known: `{ condition, trackingId, operation, entity, attempts }`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  info?: any;

  constructor(message: string, originalError?: Error) {
    super(message);
    if (originalError === undefined || originalError === null) return;
    for (const name of COPIED) {
      const value = (originalError as unknown as Record<string, unknown>)[name];
      if (value !== undefined && value !== null) Object.assign(this, { [name]: value });
    }
  }
}

/** What an operation fails with that was given up on by its `abortSignal`. */
export class AbortError extends Error {
  override name = "AbortError";

  constructor(message = "The operation was aborted.") {
    super(message);
  }
}

const COPIED = ["address", "code", "errno", "info", "port", "stack", "syscall"];

/** What an operation fails with on a client that was closed. */
export const CLOSED = "The underlying AMQP connection is closed.";

/** The names of conditions, as `@azure/core-amqp` has them and `@azure/event-hubs` adds to them. */
const OF_CONDITION: Record<string, string> = {
  "com.microsoft:address-already-in-use": "AddressAlreadyInUseError",
  "com.microsoft:store-lock-lost": "StoreLockLostError",
  "com.microsoft:no-matching-subscription": "NoMatchingSubscriptionError",
  "com.microsoft:partition-not-owned": "PartitionNotOwnedError",
  "com.microsoft:publisher-revoked": "PublisherRevokedError",
  "com.microsoft:entity-already-exists": "MessagingEntityAlreadyExistsError",
  "com.microsoft:entity-disabled": "MessagingEntityDisabledError",
  "com.microsoft:message-lock-lost": "MessageLockLostError",
  "com.microsoft:session-lock-lost": "SessionLockLostError",
  "com.microsoft:session-cannot-be-locked": "SessionCannotBeLockedError",
  "amqp:internal-error": "InternalServerError",
  "amqp:not-found": "ServiceCommunicationError",
  "com.microsoft:message-not-found": "MessageNotFoundError",
  "com.microsoft:relay-not-found": "RelayNotFoundError",
  "amqp:not-implemented": "NotImplementedError",
  "amqp:not-allowed": "InvalidOperationError",
  "amqp:resource-limit-exceeded": "QuotaExceededError",
  "amqp:unauthorized-access": "UnauthorizedError",
  "com.microsoft:auth-failed": "UnauthorizedError",
  "com.microsoft:timeout": "ServiceUnavailableError",
  "com.microsoft:message-wait-timeout": "MessageWaitTimeout",
  "com.microsoft:argument-out-of-range": "ArgumentOutOfRangeError",
  "amqp:precondition-failed": "PreconditionFailedError",
  "com.microsoft:precondition-failed": "PreconditionFailedError",
  "amqp:decode-error": "DecodeError",
  "amqp:invalid-field": "InvalidFieldError",
  "amqp:resource-locked": "ResourceLockedError",
  "amqp:resource-deleted": "ResourceDeletedError",
  "amqp:illegal-state": "IllegalStateError",
  "amqp:frame-size-too-small": "FrameSizeTooSmallError",
  "amqp:link:detach-forced": "DetachForcedError",
  "amqp:link:transfer-limit-exceeded": "TransferLimitExceededError",
  "amqp:link:message-size-exceeded": "MessageTooLargeError",
  "amqp:link:redirect": "LinkRedirectError",
  "amqp:link:stolen": "ReceiverDisconnectedError",
  "amqp:session:window-violation": "SessionWindowViolationError",
  "amqp:session:errant-link": "ErrantLinkError",
  "amqp:session:handle-in-use": "HandleInUseError",
  "amqp:session:unattached-handle": "UnattachedHandleError",
  "amqp:connection:forced": "ConnectionForcedError",
  "amqp:connection:framing-error": "FramingError",
  "amqp:connection:redirect": "ConnectionRedirectError",
  "com.microsoft:server-busy": "ServerBusyError",
  "com.microsoft:argument-error": "ArgumentError",
  "com.microsoft:operation-cancelled": "OperationCancelledError",
  "client.sender:not-enough-link-credit": "SenderBusyError",
  "client.sender:link-not-ready": "SenderNotReadyError",
  "system:error": "SystemError",
  "com.microsoft:out-of-order-sequence": "SequenceOutOfOrderError",
  "com.microsoft:producer-epoch-stolen": "ProducerDisconnectedError",
};

/** The names of failures that no condition came with. */
const OF_CODE: Record<ErrorCode, string> = {
  "invalid-argument": "ArgumentError",
  "invalid-connection-string": "ArgumentError",
  unauthorized: "UnauthorizedError",
  "not-found": "MessagingEntityNotFoundError",
  "message-too-large": "MessageTooLargeError",
  "quota-exceeded": "QuotaExceededError",
  "server-busy": "ServerBusyError",
  timeout: "OperationTimeoutError",
  "connection-lost": "ConnectionForcedError",
  "connect-failed": "ServiceCommunicationError",
  "ownership-lost": "ReceiverDisconnectedError",
  "invalid-position": "ArgumentError",
  rejected: "InvalidOperationError",
  closed: "InvalidOperationError",
  protocol: "InternalServerError",
  internal: "InternalServerError",
};

const RETRYABLE = new Set([
  ...["InternalServerError", "ServerBusyError", "ServiceUnavailableError", "OperationCancelledError", "UnauthorizedError"],
  ...["OperationTimeoutError", "SenderBusyError", "SenderNotReadyError", "MessagingError", "DetachForcedError"],
  ...["ConnectionForcedError", "TransferLimitExceededError", "InsufficientCreditError"],
]);

const NOT_FOUND = /status-code: 404|The messaging entity .* could not be found/i;

/** What users see for what the engine failed with. Everything else stays what it is. */
export function translated(error: unknown): unknown {
  if (!(error instanceof EventHubsError)) return error;
  if (error.code === "closed") return Object.assign(new Error(CLOSED), { cause: error });
  const message = words(error);
  // A condition that is not known has no name, as in the official SDK.
  const named = error.condition === undefined ? OF_CODE[error.code] : OF_CONDITION[error.condition];
  const code = NOT_FOUND.test(message) ? "MessagingEntityNotFoundError" : named;
  const made = new MessagingError(error.trackingId === undefined ? message : `${message} TrackingId:${error.trackingId}`);
  made.retryable = code === undefined || RETRYABLE.has(code) || (error.code === "connect-failed" && error.retryable);
  if (code !== undefined) made.code = code;
  const { condition, trackingId, operation, entity, attempts } = error;
  made.info = { condition, trackingId, operation, entity, attempts };
  return Object.assign(made, { cause: error });
}

/** A `MessagingError` of our own. */
export function messagingError(code: string, message: string): MessagingError {
  const error = new MessagingError(message);
  error.code = code;
  error.retryable = RETRYABLE.has(code);
  return error;
}

/** Throws the official `TypeError` for an argument that is missing. */
export function required(method: string, name: string, value: unknown): void {
  if (value === undefined || value === null) throw new TypeError(`${method} called without required argument "${name}"`);
}

/** The reason alone: what was attempted, how often, and our code are in `info` and `cause`. */
function words({ message, operation, entity, eventIndex }: EventHubsError): string {
  const heads = [
    operation !== undefined && entity !== undefined ? `cannot ${operation} '${entity}': ` : undefined,
    operation !== undefined ? `cannot ${operation}: ` : undefined,
    entity !== undefined ? `'${entity}': ` : undefined,
    eventIndex !== undefined ? `event ${eventIndex}: ` : undefined,
  ];
  for (const head of heads) {
    if (head !== undefined && message.startsWith(head)) message = message.slice(head.length);
  }
  return message.replace(/ \([a-z-]+(, [a-z0-9 ]+)*\)(; see https:\S+)?$/, "");
}
