import assert from "node:assert/strict";
import { test } from "node:test";
import { Continuity } from "../../src/model/continuity.ts";
import { EventLog } from "../../src/model/event-log.ts";
import { type Filterable, parseFilter } from "../../src/model/filter.ts";
import { Matches } from "../../src/model/matches.ts";

const entry = (n: number, size = 1) => ({ n, size });

test("the log lets go of its oldest entries, and counts them", () => {
  const log = new EventLog<{ n: number; size: number }>(1_000, Infinity);
  for (let n = 0; n < 20_000; n += 10) log.push(Array.from({ length: 10 }, (_, i) => entry(n + i)));
  assert.equal(log.length, 1_000);
  assert.equal(log.dropped, 19_000);
  assert.equal(log.first, 19_000);
  assert.equal(log.get(19_000)?.n, 19_000);
  assert.equal(log.get(19_999)?.n, 19_999);
  assert.equal(log.get(18_999), undefined);
  assert.equal(log.get(20_000), undefined);
});

test("the log keeps within its bytes, but never loses the newest entry", () => {
  const log = new EventLog<{ n: number; size: number }>(1_000, 100);
  log.push([entry(0, 60), entry(1, 30), entry(2, 30)]);
  assert.deepEqual([log.length, log.bytes, log.first], [2, 60, 1]);
  log.push([entry(3, 500)]);
  assert.deepEqual([log.length, log.bytes, log.get(log.first)?.n], [1, 500, 3]);
});

test("an index means one entry for ever, over dropping and clearing", () => {
  const log = new EventLog<{ n: number; size: number }>(10_000, Infinity);
  for (let n = 0; n < 50_000; n++) log.push([entry(n)]);
  for (let index = log.first; index < log.end; index++) assert.equal(log.get(index)?.n, index);
  log.clear();
  assert.deepEqual([log.length, log.dropped, log.bytes, log.first], [0, 0, 0, 50_000]);
  log.push([entry(7)]);
  assert.equal(log.get(50_000)?.n, 7);
});

const event = (n: number, more: Partial<Filterable> = {}): Filterable => ({
  partitionId: String(n % 4),
  sequenceNumber: n,
  partitionKey: undefined,
  properties: {},
  text: () => `body ${n}`,
  ...more,
});

function filled(limit: number, count: number) {
  const log = new EventLog<{ size: number; event: Filterable }>(limit, Infinity);
  const matches = new Matches(log);
  log.push(Array.from({ length: count }, (_, n) => ({ size: 1, event: event(n) })));
  return { log, matches };
}

test("without a filter rows are entries; with one they are those that pass", () => {
  const { log, matches } = filled(1_000, 100);
  assert.equal(matches.length, 100);
  assert.equal(matches.indexAt(5), 5);
  matches.setFilter(parseFilter("partition:2"));
  assert.equal(matches.work(Infinity), false);
  assert.equal(matches.length, 25);
  assert.deepEqual([matches.indexAt(0), matches.indexAt(24), matches.rowOf(6), matches.rowOf(7)], [2, 98, 1, 2]);
  log.push([{ size: 1, event: event(102) }]);
  assert.equal(matches.pending, 1);
  matches.work(Infinity);
  assert.equal(matches.length, 26);
  matches.setFilter(undefined);
  assert.equal(matches.length, 101);
});

test("a filter works in slices and goes on where it was", () => {
  const { matches } = filled(100_000, 50_000);
  matches.setFilter(parseFilter("partition:1"));
  let slices = 0;
  while (matches.work(0)) slices += 1;
  assert.ok(slices > 100, `${slices} slices`);
  assert.equal(matches.length, 12_500);
});

test("what the log let go of leaves the rows that passed, too", () => {
  const { log, matches } = filled(20_000, 20_000);
  matches.setFilter(parseFilter("partition:3"));
  matches.work(Infinity);
  for (let n = 20_000; n < 60_000; n += 100) {
    log.push(Array.from({ length: 100 }, (_, i) => ({ size: 1, event: event(n + i) })));
    matches.work(Infinity);
  }
  assert.equal(matches.length, 5_000);
  assert.equal(matches.at(0)?.event.sequenceNumber, 40_003);
  assert.equal(matches.rowOf(0), 0);
});

test("missing and repeated sequence numbers are counted, by partition", () => {
  const continuity = new Continuity();
  for (const [partition, number] of [["0", 5], ["1", 90], ["0", 6], ["1", 91]] as const) continuity.see(partition, number);
  assert.deepEqual([continuity.missing, continuity.repeated], [0, 0]);
  continuity.see("0", 9);
  continuity.see("1", 91);
  assert.deepEqual([continuity.missing, continuity.repeated], [2, 1]);
});

test("a filter's words must all match, in body, key, property or partition", () => {
  const one = event(6, { partitionKey: "Device-7", properties: { Alarm: true, kind: "Fire drill" }, text: () => '{"id":7,"t":"10:30"}' });
  const passes = ["", "  ", "id", "device", "key:device-7", "partition:2", "seq:6", "alarm:true", "alarm:", 'kind:"fire drill"', "id device", "-nothing", "10:30", "-key:x", 'body:"id"'];
  for (const filter of passes) assert.ok(parseFilter(filter)?.(one) ?? true, filter);
  const fails = ["nothing", "id nothing", "key:id", "partition:22", "alarm:false", "-id", "body:device", "seq:66", "kind:drill-fire", "-alarm:true"];
  for (const filter of fails) assert.equal(parseFilter(filter)?.(one), false, filter);
  assert.equal(parseFilter("   "), undefined);
});
