// Which partitions a processor claims, so that all members of a group have a fair share and nothing moves without need. The same as
// src/model/balance.rs, and held to the same cases (tests/vectors/balance.json): members of both languages share groups.

/**
 * How quickly a processor comes to its share. `balanced`: one partition a cycle, calm when members come and go. `greedy`: all that is
 * missing at once, at the price of more moves when several members start together.
 */
export type Strategy = "balanced" | "greedy";

/** What a member knows when it decides. */
export interface Situation {
  /** The member that decides. */
  readonly me: string;
  readonly strategy: Strategy;
  /** The most partitions that it wants, if it has a bound. */
  readonly cap?: number | undefined;
  /** The living owner of each partition. */
  readonly owners: readonly (string | undefined)[];
  /** The partitions that nobody has wanted for long, though others should have: their owners-to-be are capped. */
  readonly leftOver?: readonly boolean[] | undefined;
}

/** A partition to claim, by its place among the partitions. */
export interface Claim {
  readonly partition: number;
  /** Whom it is taken from; undefined when it is free. */
  readonly from: string | undefined;
}

/** A whole number from 0 to below `sides`. */
export type Dice = (sides: number) => number;

export const random: Dice = (sides) => Math.floor(Math.random() * sides);

/** The partitions to claim now besides those that are renewed. */
export function claims({ me, strategy, cap = Infinity, owners, leftOver }: Situation, dice: Dice = random): Claim[] {
  const shares = new Shares(me, owners);
  const held = shares.held(me);
  const room = Math.max(cap - held, 0);
  const missing = Math.min(Math.max(shares.target(me) - held, 0), room);
  const atOnce = strategy === "greedy" ? missing : Math.min(missing, 1);
  const chosen: Claim[] = [];
  let vacant = places(owners, undefined);
  while (chosen.length < atOnce && vacant.length > 0) chosen.push({ partition: drawn(vacant, dice), from: undefined });
  if (chosen.length < atOnce) steal(shares, me, owners, atOnce, chosen, dice);
  if (chosen.length === 0 && room > 0) {
    // More than a fair share, rather than a partition that nobody reads.
    vacant = vacant.filter((place) => leftOver?.[place] === true);
    if (vacant.length > 0) chosen.push({ partition: vacant[dice(vacant.length)]!, from: undefined });
  }
  return chosen;
}

/** Takes from those who have too much, the richest first. */
function steal(shares: Shares, me: string, owners: Situation["owners"], atOnce: number, chosen: Claim[], dice: Dice): void {
  for (const [owner, surplus] of shares.surplus(me).sort((a, b) => b[1] - a[1])) {
    const theirs = places(owners, owner);
    for (let left = Math.min(surplus, atOnce - chosen.length); left > 0; left--) chosen.push({ partition: drawn(theirs, dice), from: owner });
    if (chosen.length === atOnce) return;
  }
}

/** Who holds how many, and how many each should hold. */
class Shares {
  readonly #counts: readonly (readonly [string, number])[];
  /** What each should hold at least. */
  readonly #least: number;
  /** So many should hold one more. */
  readonly #extras: number;

  constructor(me: string, owners: Situation["owners"]) {
    const counts = new Map([[me, 0]]);
    for (const owner of owners) if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    this.#counts = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#least = Math.floor(owners.length / counts.size);
    this.#extras = owners.length % counts.size;
  }

  held(member: string): number {
    return this.#counts.find(([name]) => name === member)?.[1] ?? 0;
  }

  /** What `me` should hold: one more than the least while not enough others do. */
  target(me: string): number {
    const others = this.#counts.filter(([member, held]) => member !== me && held > this.#least);
    return others.length < this.#extras ? this.#least + 1 : this.#least;
  }

  /** What the others have too much. `me` comes to its share, so one of the extras may be its own. */
  surplus(me: string): [string, number][] {
    let extras = this.#extras;
    const surplus: [string, number][] = [];
    for (const [member, held] of this.#counts) {
      if (member === me || held <= this.#least) continue;
      // Some may keep one more than the least.
      const keeps = this.#least + (extras > 0 ? 1 : 0);
      extras = Math.max(extras - 1, 0);
      if (held > keeps) surplus.push([member, held - keeps]);
    }
    return surplus;
  }
}

function places(owners: Situation["owners"], owner: string | undefined): number[] {
  const all: number[] = [];
  for (let place = 0; place < owners.length; place++) if (owners[place] === owner) all.push(place);
  return all;
}

/** Takes one out; the last one fills its place, as in Rust's `swap_remove`. */
function drawn(from: number[], dice: Dice): number {
  const place = dice(from.length);
  const taken = from[place]!;
  const last = from.pop()!;
  if (place < from.length) from[place] = last;
  return taken;
}
