// The official SDK against the emulator of the npm package, in this process: no server, no socket. Every case that
// ../sdk.test.mjs runs over TCP and TLS runs here through the pipe.
//
//   cargo xtask package && node --test tests/interop/js/in-page.mjs

import { after } from "node:test";
import { pathToFileURL } from "node:url";

const built = process.env.EVENTHUBS_PACKAGE ?? new URL("../../../target/package/eventhubs", import.meta.url).pathname;
const { Emulator } = await import(`${pathToFileURL(built).href}/dist/emulator.js`);

const HUBS = 150;
const emulator = await Emulator.start({
  hubs: Object.fromEntries(
    Array.from({ length: HUBS }, (_, n) => [`hub${n}`, { partitions: 4, consumerGroups: ["other"] }]),
  ),
  keys: { listener: { key: "bGlzdGVuZXI=", rights: "listen" } },
});
globalThis.inPageEmulator = emulator;
after(() => emulator.stop());

await import("./cases/all.mjs");
await import("./cases/pipe.mjs");
