// Balancing is held to the cases that src/model/balance.rs is held to: members of both languages share groups.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { dist } from "./support.mjs";

const { claims } = await dist("processor/balance.js");
const { Sightings } = await dist("processor/sightings.js");
const cases = JSON.parse(await readFile(new URL("../../tests/vectors/balance.json", import.meta.url), "utf8"));

/** The dice of the tests in Rust. */
function dice(seed) {
  let state = BigInt(seed);
  return (sides) => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 33n) % BigInt(sides));
  };
}

test("the same claims as in Rust, with the same dice", () => {
  assert.ok(cases.length >= 300);
  let many = 0;
  for (const { seed, me, strategy, cap, owners, leftOver, claims: expected } of cases) {
    const situation = { me, strategy, cap: cap ?? undefined, owners: owners.map((owner) => owner ?? undefined), leftOver };
    const seen = claims(situation, dice(seed)).map(({ partition, from }) => [partition, from ?? null]);
    assert.deepEqual(seen, expected, `seed ${seed}`);
    many += seen.length;
  }
  assert.ok(many > 300, "the cases claim something");
});

const EXPIRY = 60_000;
const record = (ownerId, etag, lastModifiedTimeInMs) => ({ partitionId: "0", ownerId, etag, lastModifiedTimeInMs });

/** Sees one record, at a second of the own clock and a millisecond of the calendar: whether its owner lives. */
function watch() {
  const sightings = new Sightings();
  const sees = (seen, second, unix) => sightings.owners(["0"], new Map([["0", seen]]), EXPIRY, { now: second * 1000, unix })[0] !== undefined;
  return { sightings, sees };
}

test("at first sight the store's time decides", () => {
  assert.equal(watch().sees(record("a", "1", 1000), 0, 60_999), true);
  assert.equal(watch().sees(record("a", "1", 1000), 0, 61_000), false);
  assert.equal(watch().sees(record("a", "1", undefined), 0, 0), false);
  assert.equal(watch().sees({ ...record("a", "1", 0), isAlive: true }, 0, 9_000_000), true);
});

test("who renews is alive whatever the clocks say, and who does not is dead", () => {
  const { sees } = watch();
  // The calendar here is an hour ahead of the store's.
  assert.equal(sees(record("a", "1", 0), 0, 3_600_000), false);
  assert.equal(sees(record("a", "2", 10_000), 10, 3_610_000), true);
  assert.equal(sees(record("a", "2", 10_000), 69, 3_669_000), true);
  assert.equal(sees(record("a", "2", 10_000), 70, 3_670_000), false);
  const future = watch();
  assert.equal(future.sees(record("a", "1", 1_000_000_000), 59, 59_000), true);
  assert.equal(future.sees(record("a", "1", 1_000_000_000), 119, 119_000), false);
});

test("a clock that goes backwards kills nobody, and what is given up is free at once", () => {
  const { sees, sightings } = watch();
  assert.equal(sees(record("a", "1", 100_000), 0, 100_000), true);
  assert.equal(sees(record("a", "2", 5000), 10, 5000), true);
  assert.equal(sees(record("", "3", 5000), 11, 5000), false);
  assert.equal(sightings.isLeftOver("0", EXPIRY, 70_000), false);
  assert.equal(sightings.isLeftOver("0", EXPIRY, 71_000), true);
});
