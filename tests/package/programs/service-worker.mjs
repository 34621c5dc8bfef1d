import * as api from "eventhubs";
import { roundtrip } from "./roundtrip.mjs";
import { outcome } from "./result.mjs";

addEventListener("message", (event) => {
  const { connectionString, hub } = event.data;
  event.waitUntil(
    outcome(() => roundtrip(api, connectionString, hub)).then((answer) => event.ports[0].postMessage(answer)),
  );
});
