// What a processor has seen of ownerships over time, to tell living owners from dead ones. As `Sightings` of src/model/checkpoint.rs.
//
// A store's times are by the store's clock, and clocks differ. So a record that was seen to change within the expiry is alive, however old its
// time looks here; and one that was not seen to change for as long is dead, however young its time looks. Its time decides only at first sight,
// when nothing else is known.

import type { PartitionOwnership } from "./checkpoint.js";

interface Sighting {
  etag: string | undefined;
  ownerId: string;
  /** When it was first seen as it is. */
  since: number;
  /** Whether it was seen as something else before. */
  hasChanged: boolean;
  /** Since when the partition has had no living owner. */
  freeSince: number | undefined;
}

/** When a listing is looked at: by the clock that only goes forward, and by the calendar. */
export interface Moment {
  readonly now: number;
  readonly unix: number;
}

export class Sightings {
  #seen = new Map<string, Sighting>();

  /** The living owner of each partition, by a listing made now. */
  owners(
    partitionIds: readonly string[],
    listing: ReadonlyMap<string, PartitionOwnership>,
    expiryMs: number,
    moment: Moment,
  ): (string | undefined)[] {
    const before = this.#seen;
    this.#seen = new Map();
    return partitionIds.map((id) => {
      const record = listing.get(id);
      const sighting = sightingOf(record, moment.now, before.get(id));
      const isAlive = record !== undefined && alive(sighting, record, expiryMs, moment);
      sighting.freeSince = isAlive ? undefined : (sighting.freeSince ?? moment.now);
      this.#seen.set(id, sighting);
      return isAlive ? record.ownerId : undefined;
    });
  }

  /** Whether a partition has had no living owner for so long that those whose share it is do not want it. */
  isLeftOver(partitionId: string, patienceMs: number, now: number): boolean {
    const since = this.#seen.get(partitionId)?.freeSince;
    return since !== undefined && now - since >= patienceMs;
  }
}

function sightingOf(record: PartitionOwnership | undefined, now: number, before: Sighting | undefined): Sighting {
  const [etag, ownerId] = [record?.etag, record?.ownerId ?? ""];
  if (before !== undefined && before.etag === etag && before.ownerId === ownerId) return before;
  return { etag, ownerId, since: now, hasChanged: before !== undefined, freeSince: before?.freeSince };
}

function alive(sighting: Sighting, record: PartitionOwnership, expiryMs: number, { now, unix }: Moment): boolean {
  if (record.ownerId === "") return false;
  if (record.isAlive) return true;
  const isFresh = now - sighting.since < expiryMs;
  if (sighting.hasChanged) return isFresh;
  const age = record.lastModifiedTimeInMs === undefined ? Infinity : unix - record.lastModifiedTimeInMs;
  return isFresh && Math.max(age, 0) < expiryMs;
}
