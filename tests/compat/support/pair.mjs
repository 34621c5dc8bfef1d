// One program against two packages: as it is, and with the import changed and nothing else.

import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL("..", import.meta.url));
/** How long a program may take, beside six others on two cores. */
const DEADLINE = 90_000;
const OFFICIAL = '"@azure/event-hubs"';
const OURS = '"eventhubs/compat"';

/** The folder of the built package. */
export function builtPackage() {
  return process.env.EVENTHUBS_PACKAGE ?? fileURLToPath(new URL("../../../target/package/eventhubs", import.meta.url));
}

/** A folder where `eventhubs` and what programs use besides can be imported; the caller removes it. */
export async function scratch() {
  const folder = await mkdtemp(join(tmpdir(), "eventhubs-compat-"));
  await mkdir(join(folder, "node_modules"));
  // A copy: through a link the package would not find `ws` beside itself.
  await cp(builtPackage(), join(folder, "node_modules/eventhubs"), { recursive: true });
  for (const name of ["ws", "@azure", "@types", "typescript", "undici-types", "rhea", "rhea-promise"]) {
    await symlink(join(HERE, "node_modules", name), join(folder, "node_modules", name));
  }
  return folder;
}

/** Writes every program twice: into `theirs/` and `ours/` of the folder. */
export async function writePrograms(folder) {
  const names = (await readdir(join(HERE, "programs"))).filter((name) => name.endsWith(".mjs"));
  for (const side of ["theirs", "ours"]) {
    await mkdir(join(folder, side), { recursive: true });
    for (const name of names) {
      const text = await readFile(join(HERE, "programs", name), "utf8");
      await writeFile(join(folder, side, name), side === "ours" ? withOurs(name, text) : text);
    }
  }
  return names.filter((name) => name !== "support.mjs");
}

/** The import, and nothing else. */
export function withOurs(name, text) {
  const lines = text.split("\n");
  const changed = lines.map((line) => (/^(import|export|\} from)\b/.test(line) ? line.replace(OFFICIAL, OURS) : line));
  const count = changed.filter((line, index) => line !== lines[index]).length;
  if (count !== 1 && name !== "support.mjs") throw new Error(`${name} has ${count} imports of the official SDK: it is to have one`);
  return changed.join("\n");
}

/** What a program printed; an error when it failed. */
export async function run(program, environment) {
  const child = spawn(process.execPath, [program], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (said[name] += text));
  let isLate = false;
  const overdue = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, DEADLINE);
  const [code] = await once(child, "close");
  clearTimeout(overdue);
  if (isLate || code !== 0) {
    const how = isLate ? `did not end within ${DEADLINE} ms` : `ended with ${code}`;
    throw new Error(`${program} ${how}\n--- it said\n${said.stdout}\n--- and on standard error\n${said.stderr}`);
  }
  return normal(said.stdout);
}

/** Names that are made at random, and times, are the same in all runs. */
function normal(output) {
  return output
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, "<id>")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>")
    .replace(/hub\d+/g, "<hub>")
    .trimEnd()
    .split("\n");
}

export async function remove(folder) {
  await rm(folder, { recursive: true, force: true });
}
