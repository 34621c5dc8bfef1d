// Builds the npm package from what Cargo made of the crate and from src/*.ts; `cargo xtask package` calls it.
//
// Private boundary: src/wasm/<name>.js and .d.ts are wasm-bindgen's glue, src/wasm/<name>-inline.js holds the
// same module as text. They are made here, ignored by git, and imported by the facade with relative paths.
// The .wasm files themselves land in dist/ (where: `wasmFolder` in package.mjs).

import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { declarations, javascript } from "./javascript.mjs";
import { assemble } from "./package.mjs";
import { step, fingerprint, template } from "./steps.mjs";
import { optimised } from "./wasm.mjs";

const { values: given } = parseArgs({
  options: {
    version: { type: "string" },
    bindgen: { type: "string" },
    // name=file, the module as Cargo linked it
    wasm: { type: "string", multiple: true },
    // without wasm-opt
    quick: { type: "boolean", default: false },
    cache: { type: "string" },
    out: { type: "string" },
  },
});
for (const name of ["version", "bindgen", "wasm", "cache", "out"]) {
  if (given[name] === undefined) throw new Error(`--${name} is missing`);
}

const tools = await fingerprint(template("package-lock.json"), template("build"), given.bindgen);
const modules = [];
for (const pair of given.wasm) {
  const [name, file] = pair.split("=");
  modules.push(await optimised({ name, file, tools, bindgen: given.bindgen, cache: given.cache, quick: given.quick }));
}

const sources = await fingerprint(template("src"), template("tsconfig.json"), template("package.json"));
const dist = `${given.cache}/dist`;
await step(given.cache, "javascript", `${tools} ${sources}`, async () => {
  await rm(dist, { recursive: true, force: true });
  const [typed, built] = await Promise.all([declarations(dist), javascript(dist)]);
  return `${built}; ${typed}`;
});

const contents = await fingerprint(dist, ...modules, template("package.json"), template("README.md"));
await step(given.cache, "package", `${tools} ${contents} ${given.version} ${given.out}`, () =>
  assemble({ dist, modules, version: given.version, out: given.out }),
);
