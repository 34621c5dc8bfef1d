// Tiny projects with the packed tarball installed, made anew for each test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

/** This folder: with the tools, and the programs that projects are made of. */
export const home = fileURLToPath(new URL("..", import.meta.url));
/** No program of a project takes this long; one that does hangs. */
const PROGRAM_DEADLINE = 60_000;

/** The tarball under test. */
export function tarball() {
  const path = process.env.EVENTHUBS_TARBALL;
  if (!path) throw new Error("EVENTHUBS_TARBALL must hold the path of the packed package: cargo xtask test package");
  return path;
}

/** The entries of the package under test that are code: `.`, `./slim`, … */
export const entries = Object.keys(
  JSON.parse(await readFile(new URL("../../../pkg-template/package.json", import.meta.url), "utf8")).exports,
).filter((entry) => !/\.(wasm|json)$/.test(entry));

/** Skips while an entry is not there. */
export const without = (entry) => (entries.includes(entry) ? false : `the package has no ${entry}`);

/** A folder with `eventhubs` installed from the tarball and the given programs; removed after the test. */
export async function project(t, programs, { also = [], manifest = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "eventhubs-package-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "project", private: true, type: "module", ...manifest }),
  );
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  await run(npm, ["install", "--no-audit", "--no-fund", "--offline", "--omit=peer", tarball()], { cwd: folder });
  for (const name of also) {
    await cp(join(home, "node_modules", name), join(folder, "node_modules", name), { recursive: true });
  }
  for (const name of programs) {
    const from = join(home, "programs", name);
    await cp(from, join(folder, basename(name)), { recursive: true });
  }
  return folder;
}

/** Runs a program to its end and returns what it printed. It has to end by itself, and well. */
export async function run(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let out = "";
  let said = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (said += text));
  let overdue = false;
  const timer = setTimeout(() => {
    overdue = true;
    child.kill("SIGKILL");
  }, options.deadline ?? PROGRAM_DEADLINE);
  const [code] = await once(child, "close").finally(() => clearTimeout(timer));
  const line = [basename(program), ...args.map((each) => (each.startsWith("Endpoint=") ? "<connection string>" : each))];
  if (overdue) throw new Error(`${line.join(" ")} did not end by itself; it printed:\n${out}${said}`);
  if (code !== 0) throw new Error(`${line.join(" ")} failed (${code}):\n${out}${said}`);
  return out;
}

/** The last line that a program printed, as JSON. */
export async function answer(program, args, options) {
  const lines = (await run(program, args, options)).trim().split("\n");
  return JSON.parse(lines.at(-1));
}

/** The Content-Security-Policy of the package's README, with the place of the service exchanged. */
export async function policy(folder, service) {
  const readme = await readFile(join(folder, "node_modules/eventhubs/README.md"), "utf8");
  const found = readme.match(/script-src[^`"\n]*;\s*connect-src[^`"\n]*/)?.[0];
  if (!found) throw new Error("the README names no Content-Security-Policy (script-src …; connect-src …)");
  const exchanged = found.replace("wss://*.servicebus.windows.net", service);
  if (exchanged === found) throw new Error(`the README's policy lets no page reach Azure: ${found}`);
  return exchanged;
}

export async function writePage(folder, script, { head = "" } = {}) {
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "index.html"),
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">${head}</head>` +
      `<body><script type="module" src="${script}"></script></body></html>\n`,
  );
}
