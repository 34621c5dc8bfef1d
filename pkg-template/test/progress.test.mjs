// Automatic checkpoints, as src/model/auto_checkpoint.rs is tested: only forward, never empty, nothing forgotten.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dist } from "./support.mjs";

const { Progress } = await dist("processor/progress.js");

const event = (sequenceNumber) => ({ sequenceNumber, offset: `${sequenceNumber * 100}` });

test("every so many events, one write at a time", () => {
  const progress = new Progress({ everyEvents: 3 }, undefined);
  const written = [];
  for (let n = 0; n < 10; n++) {
    progress.processed(event(n), 1, 0);
    const due = progress.due(0);
    if (due === undefined) continue;
    written.push(due.sequenceNumber);
    assert.equal(progress.due(0), undefined, "one at a time");
    progress.written();
  }
  assert.deepEqual(written, [2, 5, 8]);
  assert.equal(progress.close(), undefined, "on close was not asked for");
});

test("after so much time, and never for nothing", () => {
  const progress = new Progress({ everyMs: 5 }, undefined);
  assert.deepEqual([progress.due(100), progress.nextDeadline()], [undefined, undefined]);
  progress.processed(event(0), 1, 100);
  progress.processed(event(1), 1, 104);
  assert.deepEqual([progress.due(104), progress.nextDeadline()], [undefined, 105]);
  assert.equal(progress.due(105).sequenceNumber, 1);
  progress.processed(event(2), 1, 106);
  progress.written();
  assert.equal(progress.nextDeadline(), 111);
  assert.equal(progress.due(111).sequenceNumber, 2);
  progress.written();
  assert.deepEqual([progress.due(1000), progress.nextDeadline()], [undefined, undefined]);
});

test("what could not be written is due again after a pause, and holds back what follows", () => {
  const progress = new Progress({ everyEvents: 1, onClose: true }, undefined);
  progress.processed(event(0), 1, 0);
  assert.equal(progress.isHeldUp(0), false);
  assert.ok(progress.due(0));
  assert.equal(progress.isHeldUp(0), false, "the next ones may come while it is written");
  progress.processed(event(1), 1, 0);
  assert.equal(progress.isHeldUp(0), true, "and no more");
  progress.failed(1, 2);
  assert.deepEqual([progress.due(2), progress.nextDeadline(), progress.isHeldUp(2)], [undefined, 3, true]);
  assert.equal(progress.due(3).sequenceNumber, 1);
  progress.written();
  assert.equal(progress.isHeldUp(3), false);
  progress.processed(event(2), 1, 4);
  assert.equal(progress.close().sequenceNumber, 2);
});

test("what comes again is not written again, and what somebody else wrote counts", () => {
  const progress = new Progress({ everyEvents: 1, onClose: true }, event(10));
  progress.processed(event(4), 1, 0);
  progress.processed({ sequenceNumber: NaN, offset: "" }, 1, 0);
  assert.deepEqual([progress.due(9), progress.last.sequenceNumber], [undefined, 10]);
  progress.processed(event(11), 1, 0);
  progress.writtenElsewhere(event(11));
  assert.deepEqual([progress.due(9), progress.close()], [undefined, undefined]);
});

/** A small generator, so that a failing case says all by its seed. */
function dice(seed) {
  let state = seed * 2_654_435_761 + 1;
  return (sides) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % sides;
  };
}

test("it goes forward only, says something, and forgets nothing", () => {
  let writes = 0;
  for (let seed = 0; seed < 3000; seed++) {
    const roll = dice(seed);
    const policy = { onClose: true };
    if (roll(2)) policy.everyEvents = 1 + roll(5);
    if (roll(2)) policy.everyMs = roll(6);
    const first = roll(2) ? roll(5) : undefined;
    const progress = new Progress(policy, first === undefined ? undefined : event(first));
    let [store, last, writing, now] = [first ?? -1, first ?? -1, undefined, 0];
    for (let step = roll(200); step > 0; step--) {
      const what = roll(13);
      if (what < 4) {
        const next = last + roll(6) - 2;
        if (next >= 0) progress.processed(event(next), 1, now);
        last = Math.max(last, next);
      } else if (what < 7) {
        const due = progress.due(now);
        if (due !== undefined) {
          assert.equal(writing, undefined, `seed ${seed}`);
          assert.ok(due.sequenceNumber > store && due.sequenceNumber === last, `seed ${seed}: ${due.sequenceNumber} behind ${store}`);
          writing = due.sequenceNumber;
          writes += 1;
        } else if (writing === undefined && progress.nextDeadline() !== undefined) {
          assert.ok(progress.nextDeadline() > now, `seed ${seed}: it was due and not said`);
        }
      } else if (what < 9) {
        if (writing !== undefined) store = Math.max(store, writing);
        writing = undefined;
        progress.written();
      } else if (what < 10) {
        writing = undefined;
        progress.failed(now, 1);
      } else if (what < 11) {
        const other = last + Math.min(roll(6) - 3, 0);
        if (other >= 0) {
          progress.writtenElsewhere(event(other));
          store = Math.max(store, other);
        }
      } else {
        now += roll(8);
      }
      assert.equal(progress.last?.sequenceNumber ?? -1, last, `seed ${seed}`);
    }
    const left = progress.close();
    if (left !== undefined) {
      assert.ok(left.sequenceNumber >= store, `seed ${seed}`);
      store = left.sequenceNumber;
    }
    assert.equal(store, last, `seed ${seed}: an event was processed and forgotten`);
  }
  assert.ok(writes > 5000, `${writes} writes`);
});
