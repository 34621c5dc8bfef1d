// Chromium, and the pages that it loads: served on loopback, each SDK bundled as an application would.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const here = (path) => new URL(path, import.meta.url);
const PAGE = `<!doctype html><meta charset="utf-8"><title>bench</title><link rel="icon" href="data:,"><script type="module">
  globalThis.load = (sdk) => import("/js/" + sdk + ".js");
</script>`;
/** What the official SDK's code takes for granted and pages do not have. */
const POLYFILLS = 'export { Buffer } from "buffer/"; export * as process from "process/browser.js";';

/** Runs `work` with a browser and the address of a page that has `load(sdk)`. */
export async function withBrowser(sdk, work) {
  const server = await serve(sdk);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
  try {
    return await work(browser, `http://127.0.0.1:${server.address().port}/`);
  } finally {
    await browser.close();
    server.close();
  }
}

/** A page of its own, that was never visited. */
export async function open(browser, address) {
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => console.error(`the page: ${error.message}`));
  await page.goto(address);
  await page.waitForFunction(() => globalThis.load !== undefined);
  return page;
}

async function serve(sdk) {
  const files = new Map([["/", { type: "text/html", content: PAGE }]]);
  files.set(`/js/${sdk}.js`, { type: "text/javascript", content: await bundled(sdk) });
  if (sdk === "ours") {
    const content = await readFile(here("node_modules/eventhubs/dist/eventhubs.wasm"));
    // Where the bundle looks for it: beside its own folder.
    files.set("/eventhubs.wasm", { type: "application/wasm", content });
  }
  const server = createServer((request, response) => {
    const file = files.get(request.url);
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": file.type }).end(file.content);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function bundled(sdk) {
  const polyfills = {
    name: "polyfills",
    setup(building) {
      building.onResolve({ filter: /^polyfills$/ }, ({ path }) => ({ path, namespace: "polyfills" }));
      building.onLoad({ filter: /.*/, namespace: "polyfills" }, () => ({ contents: POLYFILLS, resolveDir: fileURLToPath(here(".")) }));
    },
  };
  const { outputFiles } = await build({
    // Aliases are looked up from here.
    absWorkingDir: fileURLToPath(here(".")),
    entryPoints: [sdk === "raw" ? "raw-page.mjs" : "page.mjs"],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
    alias: {
      sdk: fileURLToPath(here(`${sdk}.mjs`)),
      ...(sdk === "official" && { os: "os-browserify/browser.js", path: "path-browserify" }),
    },
    ...(sdk === "official" && { plugins: [polyfills], inject: ["polyfills"] }),
  });
  return outputFiles[0].contents;
}
