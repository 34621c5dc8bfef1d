// A page that is its own server.
import * as api from "eventhubs";
import { Emulator } from "eventhubs/emulator";
import { roundtrip } from "./roundtrip.mjs";
import { publish } from "./result.mjs";

publish(async () => {
  const emulator = await Emulator.start({ hubs: { here: 1 } });
  const result = await roundtrip(api, emulator.connectionString, "here");
  await emulator.stop();
  return result;
});
