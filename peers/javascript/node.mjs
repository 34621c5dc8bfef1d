// One measurement in Node. ../README.md says what it takes and prints.

import { job as arguments_, report } from "./support.mjs";

const job = arguments_();

await report(async () => {
  if (job.case === "pace") return (await import("./pace.mjs")).pace(job);
  const started = performance.now();
  const sdk = await import(job.sdk === "ours" ? "./ours.mjs" : "./official.mjs");
  const WebSocket = job.sdk === "official" && job.transport === "ws" ? (await import("ws")).WebSocket : undefined;
  const { measure } = await import("./cases.mjs");
  return measure(sdk, { ...job, started, WebSocket });
});
