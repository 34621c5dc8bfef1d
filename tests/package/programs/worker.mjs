import * as api from "eventhubs";
import { roundtrip } from "./roundtrip.mjs";
import { outcome } from "./result.mjs";

globalThis.onmessage = async ({ data }) => {
  postMessage(await outcome(() => roundtrip(api, data.connectionString, data.hub)));
};
