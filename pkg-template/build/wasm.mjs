// From the module that Cargo linked to the one that is published: wasm-bindgen's glue, then whatever makes it
// smallest on the wire.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, deflateRawSync } from "node:zlib";
import { factory, factoryTypes } from "./factory.mjs";
import { shortened } from "./names.mjs";
import { fingerprint, run, step, template, tool } from "./steps.mjs";

/**
 * wasm-opt shrinks the file and can still make the compressed one bigger: all are tried, the smallest is taken.
 * More attempts (-Os, -O2 -Oz, --converge) take a minute and gain less than 0.2 %. The lowest memory is the end of the
 * stack, which nothing that does not overflow it ever reaches.
 */
const ATTEMPTS = [[], ["-Oz", "--low-memory-unused"]];

/** Modules that are instantiated more than once: see factory.mjs. */
const FACTORIES = ["eventhubs-emulator"];

/** Makes dist-ready `<name>.wasm` and the glue in src/wasm; returns the path of the module. */
export async function optimised({ name, file, tools, bindgen, cache, quick }) {
  const folder = join(cache, name);
  const result = join(folder, `${name}.wasm`);
  const glue = template("src/wasm");
  const made = ["", ".d"].map((kind) => join(glue, `${name}${kind}.${kind === "" ? "js" : "ts"}`));
  // The glue belongs to the key: somebody may have removed it.
  const key = `${tools} ${quick} ${await fingerprint(file)} ${await fingerprint(...made)}`;
  await step(cache, name, key, async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(glue, { recursive: true });
    await run(bindgen, [
      ...["--target", "web", "--omit-default-module-path", "--out-name", name, "--out-dir", folder],
      ...["--remove-name-section", "--remove-producers-section", file],
    ]);
    const linked = join(folder, `${name}_bg.wasm`);
    const { bytes: named, how } = await smallest(linked, quick ? [[]] : ATTEMPTS);
    refuseForeignImports(name, named);
    const { bytes, glue: code } = shortened(named, await readFile(join(folder, `${name}.js`), "utf8"));
    await writeFile(result, bytes);
    const types = await readFile(join(folder, `${name}.d.ts`), "utf8");
    const many = FACTORIES.includes(name);
    await writeFile(join(glue, `${name}.js`), many ? factory(code) : code);
    await writeFile(join(glue, `${name}.d.ts`), many ? factoryTypes(types) : types);
    await writeFile(
      join(glue, `${name}-inline.js`),
      `export const deflated = "${deflateRawSync(bytes, { level: 9 }).toString("base64")}";\n`,
    );
    await writeFile(
      join(glue, `${name}-inline.d.ts`),
      "/** The module, deflated (raw) and in base64. */\nexport declare const deflated: string;\n",
    );
    return `${kilobytes(bytes.length)} kB, ${kilobytes(brotli(bytes))} kB brotli (${how})`;
  });
  await writeFile(join(cache, `${name}.stamp`), `${tools} ${quick} ${await fingerprint(file)} ${await fingerprint(...made)}`);
  return result;
}

async function smallest(linked, attempts) {
  const all = await Promise.all(
    attempts.map(async (options) => {
      if (options.length === 0) return { how: "as linked", bytes: await readFile(linked) };
      const how = `wasm-opt ${options.join(" ")}`;
      const out = linked.replace(/\.wasm$/, `${options.join("")}.wasm`);
      await run(tool("wasm-opt"), [linked, ...options, "--strip-debug", "--strip-producers", "--strip-target-features", "-o", out]);
      return { how, bytes: await readFile(out) };
    }),
  );
  return all.reduce((best, next) => (brotli(next.bytes) < brotli(best.bytes) ? next : best));
}

/** Imports from `env` are symbols that nothing defines: a C library, or std on a platform it does not know. */
export function refuseForeignImports(name, bytes) {
  const foreign = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter(
    ({ module }) => module !== "wbg" && !module.startsWith("./"),
  );
  if (foreign.length > 0) {
    const list = foreign.map((each) => `${each.module}.${each.name}`).join(", ");
    throw new Error(`${name}.wasm imports what no browser has: ${list}`);
  }
}

export function brotli(bytes) {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  }).length;
}

export function kilobytes(bytes) {
  return (bytes / 1000).toFixed(1);
}
