// node node.cjs <connection string> <hub> [ws: give the class of the package `ws`]
const api = require("eventhubs");

const [connectionString, hub, inject] = process.argv.slice(2);
const options = inject === "ws" ? { webSocket: require("ws").WebSocket } : {};
import("./roundtrip.mjs")
  .then(({ roundtrip }) => roundtrip(api, connectionString, hub, options))
  .then((result) => console.log(JSON.stringify(result)));
