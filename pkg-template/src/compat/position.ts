import type { StartPosition } from "../options.js";

/** Where reading starts: one of `offset`, `sequenceNumber` and `enqueuedOn`. */
export interface EventPosition {
  offset?: string | "@latest";
  /** With the event at the offset or sequence number, instead of behind it. */
  isInclusive?: boolean;
  /** With the first event enqueued after this time. */
  enqueuedOn?: Date | number;
  sequenceNumber?: number;
}

/** From the first event that is retained. */
export const earliestEventPosition: EventPosition = { offset: "-1" };

/** What is enqueued from now on. */
export const latestEventPosition: EventPosition = { offset: "@latest" };

/** One position for all partitions, or one for each. */
export type EventPositions = EventPosition | { [partitionId: string]: EventPosition };

const NONE =
  "Invalid value for EventPosition found. Pass an object with either of offset, sequenceNumber or enqueuedOn properties set.";
const MANY = "Invalid value for EventPosition found. Set only one of offset, sequenceNumber or enqueuedOn properties.";

/** Throws a `TypeError` for what is no position. */
export function validatePositions(positions: EventPositions | undefined | null): void {
  if (positions === undefined || positions === null) return;
  const keys = Object.keys(positions);
  if (keys.length === 0) throw new TypeError(NONE);
  const all = isPosition(positions) ? [positions] : Object.values(positions as Record<string, EventPosition>);
  for (const position of all) {
    if (position === undefined || position === null) continue;
    const given = choices(position);
    if (given.length > 1) throw new TypeError(MANY);
    if (given.length === 0) throw new TypeError(NONE);
  }
}

/** Where to start in a partition. */
export function positionFor(partitionId: string, positions: EventPositions | undefined | null): EventPosition {
  if (positions === undefined || positions === null) return latestEventPosition;
  if (isPosition(positions)) return positions;
  return (positions as Record<string, EventPosition>)[partitionId] ?? latestEventPosition;
}

/** The same for the engine. */
export function startAt({ offset, sequenceNumber, enqueuedOn, isInclusive }: EventPosition): StartPosition {
  const inclusive = Boolean(isInclusive);
  // What is not typed may still be a number, which the official SDK writes into its filter as well.
  if (isSet(offset)) return { offset: String(offset), inclusive };
  if (isSet(sequenceNumber)) return { sequenceNumber: Number(sequenceNumber), inclusive };
  return { enqueuedTime: Number(enqueuedOn) };
}

function isPosition(positions: EventPositions): positions is EventPosition {
  return choices(positions as EventPosition).length > 0;
}

function choices(position: EventPosition): unknown[] {
  return [position.offset, position.sequenceNumber, position.enqueuedOn].filter(isSet);
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}
