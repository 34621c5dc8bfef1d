// A client in Node while the emulator goes away and comes back: ours, or the official SDK.
//
//   node node.mjs ours|sdk CONNECTION_STRING HUB PARTITION GROUP

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Ledger } from "./ledger.mjs";
import { work as ours } from "./ours.mjs";
import { work as sdk } from "./sdk.mjs";

const [which, connectionString, hub, partition, group] = process.argv.slice(2);
const require = createRequire(new URL("../interop/js/package.json", import.meta.url));
const ledger = new Ledger((line) => console.log(line));
createInterface(process.stdin)
  .on("line", (line) => ledger.order(line))
  .on("close", () => ledger.order("stop"));
const place = { connectionString, hub, partition, group, maxDelayMs: process.env.EVENTHUBS_OUTAGE_MAX_DELAY_MS };
if (which === "sdk") {
  await sdk(require("@azure/event-hubs"), ledger, place);
} else {
  const folder = process.env.EVENTHUBS_PACKAGE;
  if (!folder) throw new Error("EVENTHUBS_PACKAGE must hold the folder of the built package");
  const api = await import(pathToFileURL(`${folder}/dist/index.js`).href);
  await ours(api, ledger, place, { webSocket: require("ws").WebSocket });
}
process.exit(0);
