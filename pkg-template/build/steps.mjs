// Steps that are skipped while what they are made of is the same, and say how long they took.

import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawn } from "node:child_process";

const home = fileURLToPath(new URL("..", import.meta.url));

/** A path in this folder. */
export function template(path) {
  return join(home, path);
}

/** One hash over the contents of files and folders; a missing one counts as empty. */
export async function fingerprint(...paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    for (const file of await files(path)) {
      hash.update(`${basename(path)}${file.slice(path.length)}\0`).update(await readFile(file));
    }
  }
  return hash.digest("hex");
}

/** Every file below a path, sorted. */
export async function files(path) {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return [];
  if (found.isFile()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Runs `make` unless it succeeded before with the same `key`. */
export async function step(cache, name, key, make) {
  const stamp = join(cache, `${name}.stamp`);
  if ((await readFile(stamp, "utf8").catch(() => "")) === key) return;
  await rm(stamp, { force: true });
  const started = performance.now();
  process.stdout.write(`  ${name} …\n`);
  const remark = await make();
  const took = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`  ${name}: ${took} s${remark === undefined ? "" : `, ${remark}`}`);
  await mkdir(cache, { recursive: true });
  await writeFile(stamp, key);
}

/** Runs a program, and throws what it said when it fails. */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    let said = "";
    let out = "";
    child.stdout.on("data", (text) => ((out += text), (said += text)));
    child.stderr.on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${basename(program)} ${args.join(" ")} failed (${code}):\n${said}`));
    });
  });
}

/** A program from this folder's node_modules. */
export function tool(name) {
  return template(`node_modules/.bin/${name}${process.platform === "win32" ? ".cmd" : ""}`);
}
