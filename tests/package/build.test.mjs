// What refuses to build a package that would not work.

import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseNodeTypes } from "../../pkg-template/build/javascript.mjs";
import { refuseForeignImports } from "../../pkg-template/build/wasm.mjs";

/** A module that imports one function of type () -> (). */
function importing(module, name) {
  const text = (value) => [value.length, ...Buffer.from(value)];
  const entry = [1, ...text(module), ...text(name), 0, 0];
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 2, entry.length, ...entry]);
}

test("a module that imports from env is refused by the name of what it lacks", () => {
  assert.throws(() => refuseForeignImports("eventhubs", importing("env", "memcpy")), /env\.memcpy/);
  refuseForeignImports("eventhubs", importing("./eventhubs_bg.js", "__wbg_now"));
});

test("declarations that need Node's types are refused, comments about them are not", () => {
  assert.throws(() => refuseNodeTypes("index.d.ts", "export declare function f(x: Buffer): void;"), /Buffer/);
  assert.throws(() => refuseNodeTypes("index.d.ts", "export declare function f(): NodeJS.Timeout;"), /NodeJS/);
  assert.throws(() => refuseNodeTypes("index.d.ts", '/// <reference types="node" />'), /reference/);
  refuseNodeTypes("index.d.ts", "/** A `Buffer` is a Uint8Array. */\n// not a Buffer\nexport {};");
});
