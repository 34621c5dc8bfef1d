// Promises about who owns what.

import { pause } from "../../internal/pause.js";
import { now } from "../../internal/tasks.js";
import { Broken, by, claimOf, full, same, type Stage } from "./stage.js";

export const OWNERSHIP: readonly [string, (stage: Stage) => Promise<void>][] = [
  ["a group that nobody has read in is empty", empty],
  ["a claim without an etag is won only where there is no record", firstClaims],
  ["a claim with the etag of the record is won, one with any other is lost", etags],
  ["what was won is what is listed", listedAsWon],
  ["the claims of one call are decided each by itself", mixed],
  ["of many that race for a free partition exactly one wins", freeRaces],
  ["of many that race with the same etag exactly one wins", etagRaces],
  ["a partition that was given up is listed without an owner and can be claimed", released],
  ["a renewal's time is never earlier than the one before, and advances", times],
  ["a thousand partitions are claimed, renewed and listed", many],
  ["claims that are given up on are won or not, and the partition can be claimed", abandoned],
];

/** So many claim at the same time. */
const CLAIMANTS = 24;
/** How often they do. */
const RACES = 8;

async function empty(stage: Stage): Promise<void> {
  const group = stage.group("empty");
  same("ownerships", (await stage.owners(0, group)).size, 0);
  same("checkpoints", (await stage.checkpoints(0, group)).size, 0);
  same("what no claims win", await stage.claim(0, group, []), []);
}

async function firstClaims(stage: Stage): Promise<void> {
  const group = stage.group("first");
  await stage.win(0, group, claimOf("0", "a"));
  await stage.lose(1, group, claimOf("0", "b"));
  await stage.lose(0, group, claimOf("0", "a"));
  // An etag where there is no record is that of a record that somebody has removed.
  await stage.lose(0, group, claimOf("1", "a", "0x8DCAFEBABE00000"));
  same("the owners", [...(await stage.owners(1, group)).values()].map(({ ownerId }) => ownerId), ["a"]);
}

async function etags(stage: Stage): Promise<void> {
  const group = stage.group("etags");
  const first = await stage.win(0, group, claimOf("0", "a"));
  const renewed = await stage.win(0, group, by(first, "a"));
  await stage.lose(1, group, by(first, "b"));
  const stolen = await stage.win(1, group, by(renewed, "b"));
  await stage.lose(0, group, by(renewed, "a"));
  await stage.win(1, group, by(stolen, "b"));
  await stage.lose(0, group, claimOf("0", "b", "something else"));
  same("the owner", (await stage.owners(0, group)).get("0")?.ownerId, "b");
}

async function listedAsWon(stage: Stage): Promise<void> {
  const group = stage.group("listed");
  const won = await stage.claim(0, group, ["0", "1", "2"].map((partition) => claimOf(partition, "a")));
  won.sort((a, b) => (a.partitionId < b.partitionId ? -1 : 1));
  same("the listing", [...(await stage.owners(1, group)).values()], won);
  const again = await stage.win(0, group, by(won[1]!, "a"));
  same("the renewed record", (await stage.owners(1, group)).get("1"), again);
  same("a record that was left alone", (await stage.owners(0, group)).get("0"), won[0]);
}

async function mixed(stage: Stage): Promise<void> {
  const group = stage.group("mixed");
  const theirs = await stage.win(0, group, claimOf("0", "b"));
  const mine = await stage.win(1, group, claimOf("1", "a"));
  const won = await stage.claim(1, group, [claimOf("0", "a"), by(mine, "a"), claimOf("2", "a")]);
  same("what was won", won.map(({ partitionId }) => partitionId).sort(), ["1", "2"]);
  same("the record of the other", (await stage.owners(1, group)).get("0"), theirs);
}

async function freeRaces(stage: Stage): Promise<void> {
  const group = stage.group("race");
  for (let race = 0; race < RACES; race++) {
    const won = await stage.race(group, owners((owner) => claimOf(`${race}`, owner)));
    same("winners", won.length, 1);
    same("the record", (await stage.owners(race, group)).get(`${race}`), won[0]);
  }
}

async function etagRaces(stage: Stage): Promise<void> {
  const group = stage.group("steal");
  let record = await stage.win(0, group, claimOf("0", "first"));
  for (let race = 0; race < RACES; race++) {
    const won = await stage.race(group, owners((owner) => by(record, `${race}-${owner}`)));
    same("winners", won.length, 1);
    record = won[0]!;
    same("the record", (await stage.owners(race, group)).get("0"), record);
  }
}

async function released(stage: Stage): Promise<void> {
  const group = stage.group("released");
  const mine = await stage.win(0, group, claimOf("0", "a"));
  const free = await stage.win(0, group, by(mine, ""));
  const listed = (await stage.owners(1, group)).get("0");
  same("the record", listed, free);
  same("its owner", listed?.ownerId, "");
  await stage.lose(1, group, claimOf("0", "b"));
  const theirs = await stage.win(1, group, by(free, "b"));
  await stage.lose(0, group, by(free, "a"));
  same("the record", (await stage.owners(0, group)).get("0"), theirs);
}

async function times(stage: Stage): Promise<void> {
  const group = stage.group("times");
  const first = await stage.win(0, group, claimOf("0", "a"));
  let record = first;
  // Some stores count in seconds.
  const deadline = now() + 10_000;
  while (record.lastModifiedTimeInMs === first.lastModifiedTimeInMs) {
    const renewed = await stage.win(0, group, by(record, "a"));
    if (renewed.lastModifiedTimeInMs! < record.lastModifiedTimeInMs!) {
      throw new Broken(`the time went from ${record.lastModifiedTimeInMs} to ${renewed.lastModifiedTimeInMs}`);
    }
    record = renewed;
    if (now() > deadline) throw new Broken("renewals for ten seconds did not advance the time");
    await pause(1);
  }
}

async function many(stage: Stage): Promise<void> {
  const MANY = 1024;
  const group = stage.group("many");
  const claims = Array.from({ length: MANY }, (_, partition) => claimOf(`${partition}`, "a"));
  const won = await stage.claim(0, group, claims);
  same("partitions won", won.length, MANY);
  same("partitions renewed", (await stage.claim(0, group, won)).length, MANY);
  const listed = await stage.owners(1, group);
  same("partitions listed", listed.size, MANY);
  same("partitions won with old etags", (await stage.claim(1, group, won)).length, 0);
  same("a partition that is missing", claims.find(({ partitionId }) => !listed.has(partitionId)), undefined);
}

async function abandoned(stage: Stage): Promise<void> {
  const group = stage.group("abandoned");
  for (let turns = 0; turns < 6; turns++) {
    const partition = `${turns}`;
    const controller = new AbortController();
    const hasty = stage.store(0).claimOwnership([full(group, claimOf(partition, "hasty"))], { abortSignal: controller.signal });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    controller.abort();
    await hasty.catch(() => undefined);
    // What was on its way may arrive between a listing and a claim, so it may take some turns.
    const deadline = now() + 20_000;
    for (;;) {
      const known = (await stage.owners(1, group)).get(partition);
      if (known !== undefined && known.ownerId !== "hasty") throw new Broken(`the record is neither free nor claimed, but ${known.ownerId}'s`);
      const [won] = await stage.claim(1, group, [claimOf(partition, "patient", known?.etag)]);
      if (won !== undefined) {
        same("the record", (await stage.owners(0, group)).get(partition), won);
        break;
      }
      if (now() > deadline) throw new Broken("nobody could claim the partition any more");
    }
  }
}

function owners<R>(make: (owner: string) => R): R[] {
  return Array.from({ length: CLAIMANTS }, (_, owner) => make(`${owner}`));
}
