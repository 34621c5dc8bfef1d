import type { ReceivedEvent } from "../client.ts";

/** One event of the list. */
export interface Entry {
  readonly event: ReceivedEvent;
  /** Bytes that it keeps alive, about: what was transferred, and the objects around it. */
  readonly size: number;
}

/** What an event costs besides its bytes. */
const OVERHEAD = 320;

export function entryOf(event: ReceivedEvent): Entry {
  return { event, size: event.encoded.length + OVERHEAD };
}

const NOTHING = new Uint8Array(0);

/** The body's bytes. A body that is an AMQP value has none: only the raw view shows it. */
export function bodyOf(event: ReceivedEvent): Uint8Array {
  try {
    return event.bytes;
  } catch {
    return NOTHING;
  }
}

/** Whether the body is something else than bytes. */
export function isValue(event: ReceivedEvent): boolean {
  const { value, sequence } = event.raw();
  return sequence !== undefined || (value !== undefined && value !== null && typeof value !== "string" && !(value instanceof Uint8Array));
}
