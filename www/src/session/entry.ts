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
  return { event, size: event.bytes.length + OVERHEAD };
}
