// Files on loopback, and a Chromium that loads them.

import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { chromium } from "playwright-core";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".map": "application/json",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const PAGE_DEADLINE = 30_000;

/** One browser for a file of tests. */
export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Serves a folder under a policy until the test ends; returns its address. */
export async function serve(t, folder, policy, types = TYPES) {
  const server = createServer(async ({ url }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
    const file = join(folder, path.endsWith(sep) ? `${path}index.html` : path);
    try {
      const bytes = await readFile(file);
      response.setHeader("Content-Type", types[extname(file)] ?? "application/octet-stream");
      if (policy) response.setHeader("Content-Security-Policy", policy);
      response.end(bytes);
    } catch {
      response.statusCode = 404;
      response.end("not found");
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://localhost:${server.address().port}/`;
}

/** Loads a page and returns what it left in `globalThis.result`. Anything on its console that is an error fails. */
export async function load(t, browser, address, parameters = {}) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`uncaught: ${error.stack ?? error}`));
  page.on("console", (message) => message.type() === "error" && wrong.push(`console: ${message.text()}`));
  page.on("requestfailed", (request) => wrong.push(`request: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => response.status() >= 400 && wrong.push(`response: ${response.status()} ${response.url()}`));
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  await page.goto(url.href);
  await page
    .waitForFunction(() => globalThis.result !== undefined, undefined, { timeout: PAGE_DEADLINE })
    .catch((error) => wrong.push(`the page left no result: ${error.message}`));
  const result = await page.evaluate(() => globalThis.result);
  if (result?.error !== undefined) wrong.push(result.error);
  if (wrong.length > 0) throw new Error(`${address}:\n${wrong.join("\n")}`);
  return result.value;
}
