import type { StartPosition } from "../client.ts";
import { dateTime } from "../model/format.ts";
import type { Settings } from "../model/settings.ts";
import type { Partition } from "../session/overview.ts";
import type { From } from "../session/tail.ts";

export type PositionKind = Settings["position"];

export const POSITIONS: readonly { readonly kind: PositionKind; readonly label: string; readonly needs?: string }[] = [
  { kind: "latest", label: "now on" },
  { kind: "recent", label: "the last 100" },
  { kind: "earliest", label: "the beginning" },
  { kind: "sequence", label: "sequence number", needs: "Sequence number" },
  { kind: "offset", label: "offset", needs: "Offset" },
  { kind: "time", label: "time", needs: "Time" },
];

/** How many events of each partition are recent. */
const RECENT = 100;

/**
 * The position that was chosen and typed, and what it reads as. `partitions` are those that are read.
 * Throws a sentence when it is none.
 */
export function startPosition(
  kind: PositionKind,
  value: string,
  partitions: readonly Partition[],
): { from: From; words: string } {
  const text = value.trim();
  switch (kind) {
    case "latest":
      return { from: "latest", words: "now on" };
    case "recent":
      return { from: { each: Object.fromEntries(partitions.map((one) => [one.id, recent(one)])) }, words: `the last ${RECENT}` };
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

function recent({ first, last, kept }: Partition): StartPosition {
  // What comes into an empty partition before it is read is wanted, too.
  return kept === 0 ? "earliest" : { sequenceNumber: Math.max(first, last - RECENT + 1), inclusive: true };
}
