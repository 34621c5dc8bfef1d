// Programs written for the official SDK, against it and against eventhubs/compat: they print the same.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";

import { startEmulator } from "./support/emulator.mjs";
import { remove, run, scratch, writePrograms } from "./support/pair.mjs";

const folder = await scratch();
const programs = await writePrograms(folder);
let emulator;

before(async () => {
  emulator = await startEmulator();
});
after(async () => {
  await emulator?.stop();
  await remove(folder);
});

describe("with only the import changed it prints the same", () => {
  assert.ok(programs.length > 0);
  for (const program of programs) {
    test(program, { timeout: 240_000 }, async () => {
      const printed = {};
      for (const side of ["theirs", "ours"]) {
        printed[side] = await run(join(folder, side, program), {
          CONNECTION_STRING: emulator.connectionString,
          EVENT_HUB: emulator.hub(),
          // For wss, which the official SDK speaks also to an emulator.
          NODE_EXTRA_CA_CERTS: emulator.ca,
        });
      }
      assert.ok(printed.theirs.length > 1, "it prints something");
      assert.deepEqual(printed.ours, printed.theirs);
    });
  }
});
