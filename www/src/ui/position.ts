import type { StartPosition } from "../client.ts";
import { dateTime } from "../model/format.ts";
import type { Settings } from "../model/settings.ts";

export type PositionKind = Settings["position"];

export const POSITIONS: readonly { readonly kind: PositionKind; readonly label: string; readonly needs?: string }[] = [
  { kind: "latest", label: "now on" },
  { kind: "earliest", label: "the beginning" },
  { kind: "sequence", label: "sequence number", needs: "Sequence number" },
  { kind: "offset", label: "offset", needs: "Offset" },
  { kind: "time", label: "time", needs: "Time" },
];

/** The position that was chosen and typed, and what it reads as. Throws a sentence when it is none. */
export function startPosition(kind: PositionKind, value: string): { from: StartPosition; words: string } {
  const text = value.trim();
  switch (kind) {
    case "latest":
      return { from: "latest", words: "now on" };
    case "earliest":
      return { from: "earliest", words: "the beginning" };
    case "sequence": {
      const sequenceNumber = Number(text);
      if (!/^\d+$/.test(text) || !Number.isSafeInteger(sequenceNumber)) {
        throw new RangeError("A sequence number has digits only, such as 1200.");
      }
      return { from: { sequenceNumber, inclusive: true }, words: `sequence number ${text}` };
    }
    case "offset":
      if (!text) throw new RangeError("Enter an offset as an event shows it.");
      return { from: { offset: text, inclusive: true }, words: `offset ${text}` };
    case "time": {
      const enqueuedTime = new Date(text);
      if (Number.isNaN(enqueuedTime.getTime())) throw new RangeError("Enter a day and a time.");
      return { from: { enqueuedTime }, words: dateTime(enqueuedTime) };
    }
  }
}
