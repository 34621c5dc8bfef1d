// The packed package in pages and workers: built by each bundler, loaded and run in Chromium under the README's policy.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { rollup } from "@rollup/wasm-node";
import { build as esbuild } from "esbuild";
import { build as vite, createServer as viteServer } from "vite";
import webpack from "webpack";
import { startEmulator } from "../interop/js/emulator.mjs";
import { expectedOfCompat } from "./programs/compat.mjs";
import { expected } from "./programs/roundtrip.mjs";
import { load, serve, startBrowser } from "./support/browser.mjs";
import { policy, project, without, writePage } from "./support/project.mjs";

const SHARED = ["roundtrip.mjs", "result.mjs"];
const HUBS = [
  ...["vite", "vite-worker", "vite-dev", "vite-compat", "webpack", "webpack-worker", "esbuild", "esbuild-inline"],
  ...["esbuild-slim", "rollup", "rollup-inline", "service-worker", "no-bundler", "wrong-type"],
  ...["one", "two", "left"],
];

let emulator;
let browser;
let service;

before(async () => {
  emulator = await startEmulator(...HUBS.flatMap((hub) => ["--hub", `${hub}:1`]));
  service = emulator.announcement.connectionString;
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await emulator?.stop();
});

/** Serves what was built under the README's policy, loads it, and returns what the page did. */
async function visit(t, folder, built, hub, path = "") {
  const host = /Endpoint=sb:\/\/([^;/]+)/.exec(service)[1];
  const address = await serve(t, built, await policy(folder, `ws://${host}`));
  return load(t, browser, `${address}${path}`, { connectionString: service, hub });
}

async function viteBuild(folder, script) {
  await writePage(folder, `./${script}`);
  await vite({ root: folder, base: "./", logLevel: "error", configFile: false, build: { outDir: "dist" } });
  return join(folder, "dist");
}

for (const [name, script, hub, value, entry = "."] of [
  ["a page", "page.mjs", "vite", expected],
  ["a module worker", "page-worker.mjs", "vite-worker", expected],
  ["a page with a program for @azure/event-hubs", "page-compat.mjs", "vite-compat", expectedOfCompat, "./compat"],
  ["a page that is its own server", "page-emulator.mjs", "", expected],
]) {
  test(`Vite builds ${name}`, { skip: without(entry) }, async (t) => {
    const folder = await project(t, [...SHARED, "worker.mjs", "compat.mjs", script]);
    assert.deepEqual(await visit(t, folder, await viteBuild(folder, script), hub), value);
  });
}

test("Vite's development server serves a page, told what the README says", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  await writePage(folder, "./page.mjs");
  const server = await viteServer({
    root: folder,
    logLevel: "error",
    configFile: false,
    server: { port: 0, host: "127.0.0.1" },
    optimizeDeps: { exclude: ["eventhubs"] },
  });
  t.after(() => server.close());
  await server.listen();
  const { port } = server.httpServer.address();
  const done = await load(t, browser, `http://127.0.0.1:${port}/`, { connectionString: service, hub: "vite-dev" });
  assert.deepEqual(done, expected);
});

async function webpackBuild(folder, script) {
  const out = join(folder, "dist");
  await new Promise((resolve, reject) =>
    webpack(
      {
        mode: "production",
        context: folder,
        entry: `./${script}`,
        output: { path: out, filename: "main.js" },
        // Its remark on files above 244 KiB, before compression, is no matter of whether the page works.
        performance: { hints: false },
      },
      (error, stats) => {
        if (error) reject(error);
        else if (stats.hasErrors() || stats.hasWarnings()) reject(new Error(stats.toString({ colors: false })));
        else resolve();
      },
    ),
  );
  await writePage(out, "./main.js");
  return out;
}

for (const [name, script, hub] of [
  ["a page", "page.mjs", "webpack"],
  ["a module worker", "page-worker.mjs", "webpack-worker"],
]) {
  test(`webpack builds ${name}`, async (t) => {
    const folder = await project(t, [...SHARED, "worker.mjs", script]);
    assert.deepEqual(await visit(t, folder, await webpackBuild(folder, script), hub), expected);
  });
}

async function esbuildBuild(folder, entries) {
  const out = join(folder, "dist");
  const { warnings } = await esbuild({
    entryPoints: entries.map((entry) => join(folder, entry)),
    absWorkingDir: folder,
    outdir: out,
    outExtension: { ".js": ".js" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    logLevel: "silent",
  });
  assert.deepEqual(warnings, []);
  return out;
}

/** For bundlers that copy no files. */
async function copyModule(folder, to) {
  await mkdir(join(to, ".."), { recursive: true });
  await cp(join(folder, "node_modules/eventhubs/dist/eventhubs.wasm"), to);
}

test("esbuild builds a page, the module copied beside its script", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  const out = await esbuildBuild(folder, ["page.mjs"]);
  await writePage(out, "./page.js");
  await copyModule(folder, join(out, "eventhubs.wasm"));
  assert.deepEqual(await visit(t, folder, out, "esbuild"), expected);
});

test("esbuild builds a page of one file with eventhubs/inline", async (t) => {
  const folder = await project(t, [...SHARED, "page-inline.mjs"]);
  const out = await esbuildBuild(folder, ["page-inline.mjs"]);
  await writePage(out, "./page-inline.js");
  assert.deepEqual(await visit(t, folder, out, "esbuild-inline"), expected);
});

test("esbuild builds a page that says itself where the module is, with eventhubs/slim", async (t) => {
  const folder = await project(t, [...SHARED, "page-slim.mjs"]);
  const out = await esbuildBuild(folder, ["page-slim.mjs"]);
  await writePage(out, "./page-slim.js");
  await copyModule(folder, join(out, "somewhere/else.wasm"));
  assert.deepEqual(await visit(t, folder, out, "esbuild-slim"), expected);
});

test("a service worker, built by esbuild", async (t) => {
  const folder = await project(t, [...SHARED, "page-service-worker.mjs", "service-worker.mjs"]);
  const out = await esbuildBuild(folder, ["page-service-worker.mjs", "service-worker.mjs"]);
  await writePage(out, "./page-service-worker.js");
  await copyModule(folder, join(out, "eventhubs.wasm"));
  assert.deepEqual(await visit(t, folder, out, "service-worker"), expected);
});

async function rollupBuild(folder, script) {
  const out = join(folder, "dist");
  const bundle = await rollup({
    input: join(folder, script),
    plugins: [nodeResolve({ browser: true })],
    onwarn: (warning) => assert.fail(warning.message),
  });
  await bundle.write({ dir: out, format: "es", entryFileNames: "main.js", inlineDynamicImports: true });
  await bundle.close();
  await writePage(out, "./main.js");
  return out;
}

test("Rollup builds a page, the module copied beside its script", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  const out = await rollupBuild(folder, "page.mjs");
  await copyModule(folder, join(out, "eventhubs.wasm"));
  assert.deepEqual(await visit(t, folder, out, "rollup"), expected);
});

test("Rollup builds a page of one file with eventhubs/inline", async (t) => {
  const folder = await project(t, [...SHARED, "page-inline.mjs"]);
  assert.deepEqual(await visit(t, folder, await rollupBuild(folder, "page-inline.mjs"), "rollup-inline"), expected);
});

test("a page without a bundler, by an import map", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  const dist = "./node_modules/eventhubs/dist";
  const map = JSON.stringify({ imports: { eventhubs: `${dist}/index.js`, "#load": `${dist}/load/fetch.js` } });
  await writePage(folder, "./page.mjs", { head: `<script type="importmap">${map}</script>` });
  const host = /Endpoint=sb:\/\/([^;/]+)/.exec(service)[1];
  const hash = createHash("sha256").update(map).digest("base64");
  const allowed = (await policy(folder, `ws://${host}`)).replace("script-src", `script-src 'sha256-${hash}'`);
  const address = await serve(t, folder, allowed);
  assert.deepEqual(await load(t, browser, address, { connectionString: service, hub: "no-bundler" }), expected);
});

test("clients of two hubs in one page work, close and are aborted beside each other, and leave no socket", async (t) => {
  const folder = await project(t, [...SHARED, "page-clients.mjs"]);
  const done = await visit(t, folder, await viteBuild(folder, "page-clients.mjs"), "");
  const { ended, abort, ...rest } = done;
  assert.deepEqual(rest, { received: [20, 30], opened: 4, late: "closed", lastEnqueuedSequenceNumber: 30, left: 0 });
  assert.ok(["done", "closed"].includes(ended), ended);
  assert.ok(["done", "AbortError"].includes(abort), abort);
});

test("a page that is reloaded in the middle of everything leaves no connection behind", async (t) => {
  const folder = await project(t, [...SHARED, "page-clients.mjs"]);
  const built = await viteBuild(folder, "page-clients.mjs");
  const before = await connections();
  for (let load = 1; load <= 3; load += 1) {
    assert.equal(await visit(t, folder, built, "left", "?abandon"), "before");
    assert.equal(await connections(), before + 2 * load);
  }
  const pages = browser.contexts().flatMap((context) => context.pages());
  const wrong = [];
  for (const page of pages) {
    page.on("pageerror", (error) => wrong.push(`${error.stack ?? error}`));
    await page.reload();
    await page.waitForFunction(() => globalThis.result !== undefined);
    assert.deepEqual(await page.evaluate(() => globalThis.result), { value: "before" });
  }
  // Each reload closed two connections and opened two.
  await connected(before + 6);
  for (const page of pages) await page.goto("about:blank");
  await connected(before);
  assert.deepEqual(wrong, []);
});

/** Waits until the emulator has so many connections. */
async function connected(expected) {
  for (let round = 0; (await connections()) !== expected; round += 1) {
    assert.ok(round < 500, `${await connections()} connections, ${expected} were expected`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How many connections the emulator has; one that asks over HTTP does not count. */
async function connections() {
  const { host } = new URL(/Endpoint=sb:(\/\/[^;]+)/.exec(service)[1], "http://localhost");
  const page = await (await fetch(`http://${host}/status`)).text();
  return Number(/(\d+) connections/.exec(page)[1]);
}

test("a server that calls the module something else is put up with", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  const out = await esbuildBuild(folder, ["page.mjs"]);
  await writePage(out, "./page.js");
  await copyModule(folder, join(out, "eventhubs.wasm"));
  const address = await serve(t, out, undefined, { ".html": "text/html", ".js": "text/javascript" });
  assert.deepEqual(await load(t, browser, address, { connectionString: service, hub: "wrong-type" }), expected);
});

test("a page of HTML instead of the module is called that", async (t) => {
  const folder = await project(t, [...SHARED, "page.mjs"]);
  const out = await esbuildBuild(folder, ["page.mjs"]);
  await writePage(out, "./page.js");
  // As servers of single-page applications answer whatever they do not have.
  await writeFile(join(out, "eventhubs.wasm"), await readFile(join(out, "index.html")));
  const address = await serve(t, out, undefined, { ".html": "text/html", ".js": "text/javascript", ".wasm": "text/html" });
  await assert.rejects(load(t, browser, address, { connectionString: service, hub: "esbuild" }), /HTML[^]*eventhubs\.wasm|eventhubs\.wasm[^]*HTML/);
});
