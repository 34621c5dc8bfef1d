// Our client in a page of Chromium while the emulator goes away and comes back.
//
//   node chromium.mjs CONNECTION_STRING HUB PARTITION GROUP

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [connectionString, hub, partition, group] = process.argv.slice(2);
const require = createRequire(new URL("../package/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.env.EVENTHUBS_PACKAGE;
if (!folder) throw new Error("EVENTHUBS_PACKAGE must hold the folder of the built package");

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const server = createServer(async ({ url }, response) => {
  const path = normalize(new URL(url, "http://localhost").pathname);
  const file = path.startsWith("/eventhubs/") ? join(folder, path.slice("/eventhubs".length)) : join(here, path);
  try {
    const bytes = await readFile(file);
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
    response.end(bytes);
  } catch {
    response.statusCode = 404;
    response.end("not found");
  }
}).listen(0, "127.0.0.1");
await once(server, "listening");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage();
page.on("pageerror", (error) => console.error(`uncaught: ${error.stack ?? error}`));
const ended = new Promise((resolve) => {
  page.exposeFunction("say", (line) => {
    console.log(line);
    if (line.startsWith("ledger ") || line.startsWith("failed ")) resolve();
  });
});
createInterface(process.stdin)
  .on("line", (line) => void page.evaluate((word) => globalThis.order(word), line))
  .on("close", () => void page.evaluate(() => globalThis.order("stop")).catch(() => undefined));
const address = new URL(`http://localhost:${server.address().port}/page.html`);
const maxDelayMs = process.env.EVENTHUBS_OUTAGE_MAX_DELAY_MS ?? "";
for (const [name, value] of Object.entries({ connectionString, hub, partition, group, maxDelayMs })) address.searchParams.set(name, value);
await page.goto(address.href);
await ended;
await browser.close();
process.exit(0);
