// A page: what the address asks for is done, and its result is left where the test looks.
import * as api from "eventhubs";
import { roundtrip } from "./roundtrip.mjs";
import { publish } from "./result.mjs";

publish(() => {
  const asked = new URL(location.href).searchParams;
  return roundtrip(api, asked.get("connectionString"), asked.get("hub"));
});
