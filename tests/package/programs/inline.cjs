// node inline.cjs <connection string> <hub>
const api = require("eventhubs/inline");

const [connectionString, hub] = process.argv.slice(2);
import("./roundtrip.mjs")
  .then(({ roundtrip }) => roundtrip(api, connectionString, hub))
  .then((result) => console.log(JSON.stringify(result)));
