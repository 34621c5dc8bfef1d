// node emulator-node.mjs: no server at all.
import * as api from "eventhubs";
import { Emulator } from "eventhubs/emulator";
import { roundtrip } from "./roundtrip.mjs";

const emulator = await Emulator.start({ hubs: { here: 1 } });
console.log(JSON.stringify(await roundtrip(api, emulator.connectionString, "here")));
await emulator.stop();
