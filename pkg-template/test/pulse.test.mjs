// When a process counts as one that stood still.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dist } from "./support.mjs";

const { Pulse } = await dist("processor/pulse.js");

/** A pulse that was told once, and is told milliseconds of both clocks. */
function told(intervalMs) {
  const pulse = new Pulse(intervalMs);
  const beat = (now, unix) => pulse.beat({ now, unix });
  assert.equal(beat(1000, 50_000), false, "nothing was before");
  return { pulse, beat };
}

test("who is told the time as often as it has to be has not stood still", () => {
  const { pulse, beat } = told(10_000);
  assert.ok(pulse.everyMs >= 500);
  for (let now = 1000; now < 100_000; now += pulse.everyMs) assert.equal(beat(now, 49_000 + now), false);
  assert.equal(pulse.wokenAt, -Infinity);
});

test("a process that was stopped is noticed when it goes on", () => {
  const { pulse, beat } = told(10_000);
  assert.equal(beat(3499, 52_499), false);
  assert.equal(beat(5999, 54_999), true);
  assert.equal(pulse.wokenAt, 5999);
  assert.equal(beat(6000, 55_000), false);
  assert.equal(pulse.wokenAt, 5999, "until when it stood still is kept");
});

test("a machine that slept is noticed by the calendar, and one that is put back means nothing", () => {
  const { pulse, beat } = told(10_000);
  assert.equal(beat(1001, 3_650_001), true);
  assert.equal(pulse.wokenAt, 1001);
  assert.equal(beat(1500, 0), false);
});

test("however short or long the rounds, a busy machine is no sleeping one", () => {
  const quick = told(50);
  assert.deepEqual([quick.beat(1999, 50_999), quick.beat(2999, 51_999)], [false, true]);
  assert.equal(told(3_600_000).beat(6000, 55_000), true);
});
