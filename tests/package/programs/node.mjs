// node node.mjs <connection string> <hub> [ws: give the class of the package `ws`]
import * as api from "eventhubs";
import { roundtrip } from "./roundtrip.mjs";

const [connectionString, hub, inject] = process.argv.slice(2);
const options = inject === "ws" ? { webSocket: (await import("ws")).WebSocket } : {};
console.log(JSON.stringify(await roundtrip(api, connectionString, hub, options)));
