// Which partitions to claim, when several consumers share a hub.

import type { PartitionOwnership } from "./subscription.js";

/** `everything`: whoever has no checkpoint store of its own shares with nobody. */
export type Strategy = "balanced" | "greedy" | "everything";

/** What is known when partitions are chosen. */
export interface Situation {
  readonly strategy: Strategy;
  readonly ownerId: string;
  readonly partitionIds: readonly string[];
  readonly ownerships: readonly PartitionOwnership[];
  readonly expirationMs: number;
  readonly now: number;
}

/** The partitions to claim now, besides those that are read already. */
export function toClaim(situation: Situation): string[] {
  const { strategy, partitionIds } = situation;
  if (strategy === "everything") return [...partitionIds];
  const wanted = share(situation);
  return strategy === "greedy" ? wanted : wanted.slice(0, 1);
}

/** What is missing to a fair share: free partitions first, then those of owners that have too many, at random. */
function share({ ownerId, partitionIds, ownerships, expirationMs, now }: Situation): string[] {
  const active = ownerships.filter(
    (each) => each.ownerId !== "" && partitionIds.includes(each.partitionId) && now - (each.lastModifiedTimeInMs ?? -Infinity) < expirationMs,
  );
  const owners = new Map<string, string[]>([[ownerId, []]]);
  for (const each of active) owners.set(each.ownerId, [...(owners.get(each.ownerId) ?? []), each.partitionId]);
  const least = Math.floor(partitionIds.length / owners.size);
  // So many owners have one more than the others.
  const extras = partitionIds.length % owners.size;
  const others = [...owners].filter(([id]) => id !== ownerId).map(([, partitions]) => partitions);
  const withExtra = others.filter((partitions) => partitions.length > least).length;
  const target = withExtra < extras ? least + 1 : least;
  let missing = target - (owners.get(ownerId)?.length ?? 0);
  const free = shuffled(partitionIds.filter((id) => active.every((each) => each.partitionId !== id)));
  const wanted = free.slice(0, Math.max(missing, 0));
  missing -= wanted.length;
  let allowed = extras;
  for (const partitions of others.sort((a, b) => b.length - a.length)) {
    const keeps = allowed > 0 && partitions.length > least ? least + 1 : least;
    if (keeps > least) allowed -= 1;
    const surplus = Math.min(Math.max(partitions.length - keeps, 0), Math.max(missing, 0));
    wanted.push(...shuffled(partitions).slice(0, surplus));
    missing -= surplus;
  }
  return wanted;
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}
