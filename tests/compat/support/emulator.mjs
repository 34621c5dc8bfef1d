// One emulator for all programs of a test file, each with a hub of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const START_DEADLINE = 30_000;
const HUBS = 60;

/** Starts an emulator on a free port. */
export async function startEmulator() {
  const program = process.env.EVENTHUBS_BIN;
  if (!program) throw new Error("EVENTHUBS_BIN must hold the path of the `eventhubs` binary");
  const hubs = Array.from({ length: HUBS }, (_, n) => ["--hub", `hub${n}:4`]).flat();
  const options = ["--port", "0", "--one-port", "--key", "listener=bGlzdGVuZXI=:listen", ...hubs];
  const child = spawn(program, ["emulator", "--json", ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const overdue = setTimeout(() => child.kill("SIGKILL"), START_DEADLINE);
  const line = await Promise.race([
    once(createInterface(child.stdout), "line").then(([text]) => text),
    exited.then(([code]) => Promise.reject(new Error(`the emulator ended with ${code} before it listened`))),
  ]);
  clearTimeout(overdue);
  let last = -1;
  return {
    ...JSON.parse(line),
    /** The name of a hub that nobody has used. */
    hub() {
      last += 1;
      if (last >= HUBS) throw new Error(`there are ${HUBS} hubs only`);
      return `hub${last}`;
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await exited;
      clearTimeout(late);
    },
  };
}
