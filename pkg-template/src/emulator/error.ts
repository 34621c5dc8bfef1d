// The emulator's errors, in the shape of the package's.

/** An error with a stable code. */
export class EventHubsError extends Error {
  override readonly name = "EventHubsError";
  readonly code: string;
  /** Nothing here gets better by trying again. */
  readonly retryable = false;
  readonly operation: string | undefined;
  readonly entity: string | undefined;

  constructor(code: string, message: string, about: About) {
    super(message, about.cause === undefined ? undefined : { cause: about.cause });
    this.code = code;
    this.operation = about.operation;
    this.entity = about.entity;
  }
}

interface About {
  operation?: string;
  entity?: string;
  cause?: unknown;
}

export function emulatorError(code: EventHubsError["code"], message: string, about: About = {}): EventHubsError {
  return new EventHubsError(code, message, about);
}
