// When a claim is won and what the record then says: the same for every store that decides it by itself. As src/checkpoint/rules.rs.

import { invalid } from "../internal/check.js";
import { randomName } from "../internal/random-name.js";
import type { PartitionOwnership, PartitionPlace, RecordFailure, StoreOptions } from "./checkpoint.js";

/** What the record says from now on when the claim is won; undefined when it is lost. */
export function decided(
  claim: PartitionOwnership,
  known: Pick<PartitionOwnership, "etag" | "lastModifiedTimeInMs"> | undefined,
): PartitionOwnership | undefined {
  if (claim.etag !== known?.etag) return undefined;
  // Its time never goes back, even if the machine's clock does: others tell by it who is alive.
  const earliest = known?.lastModifiedTimeInMs === undefined ? -Infinity : known.lastModifiedTimeInMs + 1;
  return { ...place(claim), ownerId: claim.ownerId, lastModifiedTimeInMs: Math.max(Date.now(), earliest), etag: randomName() };
}

/** The names that say which record it is; those of namespace, hub and group in lower case: to the service they are the same in any. */
export function keyOf({ fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId }: PartitionPlace): [string, string, string, string] {
  return [...groupOf(fullyQualifiedNamespace, eventHubName, consumerGroup), partitionId];
}

export function groupOf(namespace: string, eventHub: string, consumerGroup: string): [string, string, string] {
  return [namespace.toLowerCase(), eventHub.toLowerCase(), consumerGroup.toLowerCase()];
}

export function place({ fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId }: PartitionPlace): PartitionPlace {
  return { fullyQualifiedNamespace, eventHubName, consumerGroup, partitionId };
}

/** The claims, or what is wrong with them. */
export function checkedClaims(claims: PartitionOwnership[]): PartitionOwnership[] {
  for (const claim of claims) {
    for (const text of [...Object.values(place(claim)), claim.ownerId]) {
      if (typeof text !== "string") throw invalid("a claim has texts for its namespace, hub, group, partition and owner");
    }
  }
  return claims;
}

/** Tells of what concerns one partition where somebody wants to know, and fails over it where nobody does. */
export function failed(failure: RecordFailure, options: StoreOptions | undefined): void {
  if (options?.failures === undefined) throw failure.error;
  options.failures.push(failure);
}
