// Starts `eventhubs emulator` and ends it by its process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const START_DEADLINE = 30_000;

/** Starts an emulator, on a free port unless `--port` names one; what it announced is in `announcement`. */
export async function startEmulator(...options) {
  const program = process.env.EVENTHUBS_BIN;
  if (!program) throw new Error("EVENTHUBS_BIN must hold the path of the `eventhubs` binary");
  const port = options.includes("--port") ? [] : ["--port", "0"];
  const child = spawn(program, ["emulator", "--json", ...port, "--one-port", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const overdue = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(overdue);
  };
  const line = await Promise.race([
    once(createInterface(child.stdout), "line").then(([text]) => text),
    exited.then(([code]) => Promise.reject(new Error(`the emulator ended with ${code} before it listened`))),
    deadline(START_DEADLINE),
  ]);
  if (line === undefined) {
    await stop();
    throw new Error(`the emulator printed nothing within ${START_DEADLINE} ms`);
  }
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  return { announcement: JSON.parse(line), stop, kill };
}

function deadline(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
