// The emulator's errors.

import { type ErrorCode, type ErrorDetails, EventHubsError } from "../error.js";

export { EventHubsError };

export function emulatorError(code: ErrorCode, message: string, about: ErrorDetails = {}): EventHubsError {
  return new EventHubsError(code, message, about);
}
