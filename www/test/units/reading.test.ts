import assert from "node:assert/strict";
import { test } from "node:test";
import { prettyJson, showBody } from "../../src/model/body.ts";
import { ago, bytes, count, duration, hexDump, short } from "../../src/model/format.ts";
import { jsonTokens } from "../../src/model/json-tokens.ts";
import { Meter, WINDOW } from "../../src/model/meter.ts";
import { startPosition } from "../../src/ui/position.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const plain = (text: string) => text.replaceAll("\u202f", " ");

test("JSON is laid out without touching its values", () => {
  const text = '{"big":12345678901234567890,"x":1.10,"list":[1,[],{}],"s":"a, {b}: \\"c\\" [d]"}';
  const laid = prettyJson(text);
  assert.equal(
    laid,
    '{\n  "big": 12345678901234567890,\n  "x": 1.10,\n  "list": [\n    1,\n    [],\n    {}\n  ],\n  "s": "a, {b}: \\"c\\" [d]"\n}',
  );
  for (const value of ["{}", "[]", "[[]]", '{"a":{}}', "[{},{}]", '[1,{"a":[{"b":null}]}]', '"s"', "1"]) {
    assert.deepEqual(JSON.parse(prettyJson(value)), JSON.parse(value), value);
  }
  assert.equal(prettyJson(prettyJson(text)), laid);
});

test("a body is shown in the format that fits it", () => {
  assert.equal(showBody(utf8('{"a":1}'), "auto").format, "json");
  assert.equal(showBody(utf8("hello"), "auto").format, "text");
  assert.equal(showBody(utf8("42"), "auto").format, "text");
  assert.equal(showBody(utf8("{not json"), "auto").format, "text");
  assert.equal(showBody(Uint8Array.of(0xff, 0xfe, 0), "auto").format, "hex");
  assert.equal(showBody(Uint8Array.of(1, 2, 0), "auto").format, "hex");
  assert.equal(showBody(utf8('{"a":1}'), "hex").format, "hex");
  assert.match(showBody(utf8("{oops"), "json").note ?? "", /no JSON/);
  assert.match(showBody(Uint8Array.of(0xff), "text").note ?? "", /UTF-8/);
});

test("of a large body only a beginning is shown, and that is said", () => {
  const shown = showBody(utf8("x".repeat(1_000_000)), "auto");
  assert.equal(shown.text.length + shown.hidden, 1_000_000);
  assert.ok(shown.hidden > 0);
  assert.ok(showBody(new Uint8Array(1_000_000).fill(255), "auto").hidden > 900_000);
});

test("the tokens of a JSON text are that text", () => {
  const text = prettyJson('{"a":[1,-2.5e3,"x:\\"y\\"",true,null],"b":{"c":"12"}}');
  const tokens = jsonTokens(text);
  assert.equal(tokens.map((token) => token.text).join(""), text);
  const kinds = (kind: string) => tokens.filter((token) => token.kind === kind).map((token) => token.text);
  assert.deepEqual(kinds("key"), ['"a"', '"b"', '"c"']);
  assert.deepEqual(kinds("number"), ["1", "-2.5e3"]);
  assert.deepEqual(kinds("word"), ["true", "null"]);
});

test("figures are short, and bytes are dumped sixteen to a line", () => {
  assert.equal(plain(count(1234567)), "1 234 567");
  assert.deepEqual([0, 9.25, 950, 12_400, 1_250_000].map((value) => plain(short(value))), ["0", "9.3", "950", "12.4 k", "1.3 M"]);
  assert.deepEqual([12, 3_400, 5_600_000].map((value) => plain(bytes(value))), ["12 B", "3.4 kB", "5.6 MB"]);
  assert.deepEqual([0.42, 12.4, 3_200, 300_000].map((value) => plain(duration(value))), ["0.4 ms", "12 ms", "3.2 s", "5 min"]);
  assert.deepEqual([400, 5_400, 61_000].map((ms) => plain(ago(new Date(0), ms))), ["just now", "5 s ago", "1 min ago"]);
  const lines = hexDump(utf8("0123456789abcdef\n")).split("\n");
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^00000000  30 31 .* 66 {2}0123456789abcdef$/);
  assert.match(lines[1] ?? "", /^00000010  0a .*·$/);
});

test("the meter has one value a second, and keeps a window of them", () => {
  const meter = new Meter(1_000_000);
  meter.received(5);
  meter.deliveryDelay(9);
  meter.deliveryDelay(1);
  meter.deliveryDelay(4);
  meter.sent(3, 2);
  assert.equal(meter.tick(1_000_900), false);
  assert.equal(meter.tick(1_001_010), true);
  assert.deepEqual(meter.seconds, [{ at: 1001, received: 5, sent: 3, sendDelay: 2, deliveryDelay: 4 }]);
  meter.tick(1_003_010);
  assert.deepEqual(meter.seconds.map(({ at, received }) => [at, received]), [[1001, 5], [1002, 0], [1003, 0]]);
  meter.tick(9_000_000);
  assert.equal(meter.seconds.length, WINDOW);
});

test("a position that is none is refused with a sentence", () => {
  assert.deepEqual(startPosition("sequence", " 42 ", []).from, { sequenceNumber: 42, inclusive: true });
  assert.deepEqual(startPosition("offset", "4096", []).from, { offset: "4096", inclusive: true });
  assert.equal(startPosition("earliest", "", []).from, "earliest");
  for (const wrong of ["", "x", "-1", "1.5", "99999999999999999999"]) {
    assert.throws(() => startPosition("sequence", wrong, []), /digits/);
  }
  assert.throws(() => startPosition("offset", " ", []), /offset/);
  assert.throws(() => startPosition("time", "yesterday", []), /time/);
});

test("recent are the last hundred events of each partition, as far as they are kept", () => {
  const partition = (id: string, first: number, last: number) =>
    ({ id, first, last, kept: last < first ? 0 : last - first + 1, lastOffset: "", lastTime: undefined, rate: 0 });
  const { from } = startPosition("recent", "", [partition("0", 0, 999), partition("1", 990, 999), partition("2", 0, -1)]);
  assert.deepEqual(from, {
    each: { 0: { sequenceNumber: 900, inclusive: true }, 1: { sequenceNumber: 990, inclusive: true }, 2: "earliest" },
  });
});
