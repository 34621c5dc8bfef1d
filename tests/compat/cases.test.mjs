// The tests that show the emulator to serve the official SDK (tests/interop/js/cases), run with eventhubs/compat instead of it: what holds of
// the one holds of the other. They report through this process's output.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { startEmulator } from "../interop/js/emulator.mjs";
import { remove, scratch } from "./support/pair.mjs";

/** What differs on purpose: [in the test, here]. */
const DIFFERENT = [
  // Null, as its type says.
  ["assert.equal(event.partitionKey, undefined);", "assert.equal(event.partitionKey, null);"],
  // Bytes stay bytes.
  ["binary: { ...binary } }", "binary }"],
  // By options that the official client's types hide; the modern API has them in the open.
  ['onEachTransport("of two idempotent producers that are the same one', 'notHere("of two idempotent producers that are the same one'],
];

const CASES = fileURLToPath(new URL("../interop/js/cases", import.meta.url));
const HUBS = 150;
const folder = await scratch();
await cp(CASES, join(folder, "cases"), { recursive: true });
const unused = new Set(DIFFERENT);
for (const name of await readdir(join(folder, "cases"))) {
  const path = join(folder, "cases", name);
  let text = (await readFile(path, "utf8")).replaceAll('from "@azure/event-hubs"', 'from "eventhubs/compat"');
  for (const each of DIFFERENT) {
    if (!text.includes(each[0])) continue;
    unused.delete(each);
    text = text.replace(each[0], each[1]);
  }
  await writeFile(path, `const notHere = () => {};\n${text}`);
}
if (unused.size > 0) throw new Error(`the tests do not say any more: ${[...unused].map(([theirs]) => theirs).join(" / ")}`);

const hubs = Array.from({ length: HUBS }, (_, n) => ["--hub", `hub${n}:4`, "--consumer-group", `hub${n}/other`]);
const emulator = await startEmulator(...hubs.flat(), "--key", "listener=bGlzdGVuZXI=:listen");
try {
  const cases = spawn(process.execPath, [join(folder, "cases/all.mjs")], {
    stdio: "inherit",
    env: { ...process.env, EMULATOR: JSON.stringify(emulator.announcement), NODE_EXTRA_CA_CERTS: emulator.announcement.ca },
  });
  const [code] = await once(cases, "exit");
  process.exitCode = code ?? 1;
} finally {
  await emulator.stop();
  await remove(folder);
}
