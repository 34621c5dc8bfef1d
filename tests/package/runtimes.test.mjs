// The packed package in programs: Node with every way of loading it, Deno, Bun.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startEmulator } from "../interop/js/emulator.mjs";
import { expectedOfCompat } from "./programs/compat.mjs";
import { expected } from "./programs/roundtrip.mjs";
import { answer, home, project, without } from "./support/project.mjs";

const major = Number(process.versions.node.split(".")[0]);
/** Node of another major version, from npm where it exists for this platform. */
const node22 = join(home, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
const deno = join(home, "node_modules/@deno/linux-x64-glibc/deno");
const bun = join(home, "node_modules/@oven/bun-linux-x64/bin/bun");
const programs = ["roundtrip.mjs", "node.mjs", "node.cjs", "inline.cjs", "slim.mjs"];
const HUBS = ["esm", "cjs", "injected-esm", "injected-cjs", "peer-esm", "peer-cjs", "inline", "slim", "compat", "deno", "bun"];

let emulator;
let service;

before(async () => {
  emulator = await startEmulator(...HUBS.flatMap((hub) => ["--hub", `${hub}:1`]));
  service = emulator.announcement.connectionString;
});
after(() => emulator?.stop());

/** Skips where a program of npm does not exist for this platform. */
const has = (program) => (existsSync(program) ? false : `no ${program} on this platform`);
/** The Node with a WebSocket of its own. */
const modern = major >= 22 ? process.execPath : node22;

test("Node 20 with an injected class, ESM", async (t) => {
  const folder = await project(t, programs, { also: ["ws"] });
  assert.deepEqual(await answer(process.execPath, ["node.mjs", service, "injected-esm", "ws"], { cwd: folder }), expected);
});

test("Node 20 with an injected class, CommonJS", async (t) => {
  const folder = await project(t, programs, { also: ["ws"], manifest: { type: "commonjs" } });
  assert.deepEqual(await answer(process.execPath, ["node.cjs", service, "injected-cjs", "ws"], { cwd: folder }), expected);
});

test("Node 20 finds the package ws by itself, ESM", async (t) => {
  const folder = await project(t, programs, { also: ["ws"] });
  assert.deepEqual(await answer(process.execPath, ["node.mjs", service, "peer-esm"], { cwd: folder }), expected);
});

test("Node 20 finds the package ws by itself, CommonJS", async (t) => {
  const folder = await project(t, programs, { also: ["ws"], manifest: { type: "commonjs" } });
  assert.deepEqual(await answer(process.execPath, ["node.cjs", service, "peer-cjs"], { cwd: folder }), expected);
});

test("Node 20 without any WebSocket says which package to install", { skip: major >= 22 && "this Node has one" }, async (t) => {
  const folder = await project(t, programs);
  await assert.rejects(answer(process.execPath, ["node.mjs", service, "peer-esm"], { cwd: folder }), /install .*\bws\b/);
});

test("Node 22 with nothing but the package, ESM", { skip: has(modern) }, async (t) => {
  const folder = await project(t, programs);
  assert.deepEqual(await answer(modern, ["node.mjs", service, "esm"], { cwd: folder }), expected);
});

test("Node 22 with nothing but the package, CommonJS", { skip: has(modern) }, async (t) => {
  const folder = await project(t, programs, { manifest: { type: "commonjs" } });
  assert.deepEqual(await answer(modern, ["node.cjs", service, "cjs"], { cwd: folder }), expected);
});

test("eventhubs/inline needs no file beside it", { skip: has(modern) }, async (t) => {
  const folder = await project(t, programs);
  assert.deepEqual(await answer(modern, ["inline.cjs", service, "inline"], { cwd: folder }), expected);
});

test("eventhubs/slim takes bytes that the program found", { skip: has(modern) }, async (t) => {
  const folder = await project(t, programs);
  assert.deepEqual(await answer(modern, ["slim.mjs", service, "slim"], { cwd: folder }), expected);
});

test("eventhubs/compat runs what was written for @azure/event-hubs", { skip: without("./compat") }, async (t) => {
  const folder = await project(t, ["compat.mjs", "compat-node.mjs"], { also: ["ws"] });
  assert.deepEqual(await answer(process.execPath, ["compat-node.mjs", service, "compat"], { cwd: folder }), expectedOfCompat);
});

test("eventhubs/emulator is a namespace without a server, ESM", async (t) => {
  const folder = await project(t, ["roundtrip.mjs", "emulator-node.mjs"]);
  assert.deepEqual(await answer(process.execPath, ["emulator-node.mjs"], { cwd: folder }), expected);
});

test("eventhubs/emulator through require is found by clients through import", async (t) => {
  const folder = await project(t, ["roundtrip.mjs", "emulator-node.cjs"]);
  assert.deepEqual(await answer(process.execPath, ["emulator-node.cjs"], { cwd: folder }), expected);
});

test("Deno", { skip: has(deno) }, async (t) => {
  const folder = await project(t, programs);
  const args = ["run", "--quiet", "--no-remote", "--node-modules-dir=manual", "--allow-net", "--allow-read", "--allow-env", "--allow-sys"];
  const env = { ...process.env, DENO_DIR: join(folder, ".deno"), DENO_NO_UPDATE_CHECK: "1" };
  assert.deepEqual(await answer(deno, [...args, "node.mjs", service, "deno"], { cwd: folder, env }), expected);
});

test("Bun", { skip: has(bun) }, async (t) => {
  const folder = await project(t, programs);
  assert.deepEqual(await answer(bun, ["run", "--no-install", "node.mjs", service, "bun"], { cwd: folder }), expected);
});
