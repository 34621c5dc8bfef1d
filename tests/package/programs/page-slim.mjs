// A page that says itself where the module is.
import * as api from "eventhubs/slim";
import { roundtrip } from "./roundtrip.mjs";
import { publish } from "./result.mjs";

publish(async () => {
  const asked = new URL(location.href).searchParams;
  await api.init(await fetch("/somewhere/else.wasm"));
  return roundtrip(api, asked.get("connectionString"), asked.get("hub"));
});
