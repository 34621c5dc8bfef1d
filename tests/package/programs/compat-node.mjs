// node compat-node.mjs <connection string> <hub>
import * as api from "eventhubs/compat";
import { compat } from "./compat.mjs";

const [connectionString, hub] = process.argv.slice(2);
console.log(JSON.stringify(await compat(api, connectionString, hub)));
