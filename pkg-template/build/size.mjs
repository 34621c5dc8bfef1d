// What a page downloads: the module and the bundled, minified JavaScript that comes with it.
// usage: node build/size.mjs <packed folder> <scratch folder>; prints JSON

import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { template } from "./steps.mjs";
import { brotli } from "./wasm.mjs";

const [folder, scratch] = process.argv.slice(2);
const OFFICIAL = JSON.parse(await readFile(template("node_modules/@azure/event-hubs/package.json"), "utf8")).version;

/** `only`: what the page imports; without it everything that the entry exports. */
const rows = [
  { id: "page", name: "page: producer + consumer", entry: "eventhubs", only: ["ProducerClient", "ConsumerClient"], wasm: ["eventhubs"] },
  { id: "root", name: "eventhubs, every export", entry: "eventhubs", wasm: ["eventhubs"] },
  { id: "compat", name: "eventhubs/compat", entry: "eventhubs/compat", wasm: ["eventhubs"] },
  { id: "slim", name: "eventhubs/slim", entry: "eventhubs/slim", wasm: ["eventhubs"] },
  { id: "inline", name: "eventhubs/inline (one file)", entry: "eventhubs/inline", wasm: [] },
  { id: "emulator", name: "eventhubs/emulator alone", entry: "eventhubs/emulator", wasm: ["eventhubs-emulator"] },
  { id: "processor", name: "eventhubs/processor alone", entry: "eventhubs/processor", wasm: [] },
  {
    id: "official",
    name: `@azure/event-hubs ${OFFICIAL}: producer + consumer`,
    entry: "@azure/event-hubs",
    only: ["EventHubProducerClient", "EventHubConsumerClient"],
    wasm: [],
    polyfills: true,
  },
  { id: "official-all", name: `@azure/event-hubs ${OFFICIAL}, every export`, entry: "@azure/event-hubs", wasm: [], polyfills: true },
];

await rm(scratch, { recursive: true, force: true });
await mkdir(join(scratch, "node_modules"), { recursive: true });
await symlink(folder, join(scratch, "node_modules/eventhubs"), "junction");
const polyfills = join(scratch, "polyfills.js");
await writeFile(polyfills, 'export { Buffer } from "buffer/"; export * as process from "process/browser.js";\n');

const measured = [];
for (const { id, name, entry, only, wasm, polyfills: polyfilled } of rows) {
  // An entry that the package does not have yet weighs nothing.
  if (entry.startsWith("eventhubs/") && !existsSync(join(folder, `dist/${entry.slice(10)}.js`))) continue;
  const script = await bundled(entry, only, polyfilled);
  const modules = await Promise.all(wasm.map((each) => readFile(join(folder, `dist/${each}.wasm`))));
  const files = [script, ...modules];
  const sum = (weigh, of = files) => of.reduce((total, bytes) => total + weigh(bytes), 0);
  measured.push({
    id,
    name,
    wasm: modules.length > 0 ? sum(brotli, modules) : undefined,
    javascript: brotli(script),
    raw: sum((bytes) => bytes.length),
    gzip: sum((bytes) => gzipSync(bytes, { level: 9 }).length),
    brotli: sum(brotli),
  });
}
console.log(JSON.stringify(measured));

async function bundled(entry, only, polyfilled = false) {
  const source = only
    ? `import { ${only.join(", ")} } from "${entry}"; globalThis.used = [${only.join(", ")}];`
    : `import * as all from "${entry}"; globalThis.used = { ...all };`;
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: polyfilled ? template(".") : scratch },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    logLevel: "error",
    ...(polyfilled && {
      // The least that makes it load in a page.
      alias: { os: "os-browserify/browser.js", path: "path-browserify" },
      inject: [polyfills],
      nodePaths: [template("node_modules")],
    }),
  });
  return Buffer.from(outputFiles[0].contents);
}
