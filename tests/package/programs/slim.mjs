// node slim.mjs <connection string> <hub>: the bytes are found by the program, through the exported file.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as api from "eventhubs/slim";
import { roundtrip } from "./roundtrip.mjs";

const [connectionString, hub] = process.argv.slice(2);
await api.init(await readFile(createRequire(import.meta.url).resolve("eventhubs/eventhubs.wasm")));
console.log(JSON.stringify(await roundtrip(api, connectionString, hub)));
