// A page with a program that was written for @azure/event-hubs.
import * as api from "eventhubs/compat";
import { compat } from "./compat.mjs";
import { publish } from "./result.mjs";

publish(() => {
  const asked = new URL(location.href).searchParams;
  return compat(api, asked.get("connectionString"), asked.get("hub"));
});
