// The official SDK against one emulator. Node reads NODE_EXTRA_CA_CERTS only when it starts, and the certificate
// authority is known only when the emulator has, so the cases run in a process of their own; they report through
// this one's output.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { startEmulator } from "./emulator.mjs";

const HUBS = 150;
const hubs = Array.from({ length: HUBS }, (_, n) => ["--hub", `hub${n}:4`, "--consumer-group", `hub${n}/other`]);
const emulator = await startEmulator(...hubs.flat(), "--key", "listener=bGlzdGVuZXI=:listen");
try {
  const cases = spawn(process.execPath, [fileURLToPath(new URL("cases/all.mjs", import.meta.url))], {
    stdio: "inherit",
    env: {
      ...process.env,
      EMULATOR: JSON.stringify(emulator.announcement),
      NODE_EXTRA_CA_CERTS: emulator.announcement.ca,
    },
  });
  const [code] = await once(cases, "exit");
  process.exitCode = code ?? 1;
} finally {
  await emulator.stop();
}
