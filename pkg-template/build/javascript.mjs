// src/*.ts as ES modules and as CommonJS, file by file: both keep one module graph, so that whatever holds
// state (the loader, the module's instance) exists once however many entries a program uses.

import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { files, run, template, tool } from "./steps.mjs";

const SOURCE = template("src");
/** Only a bundler for workerd can import a .wasm file, and it reads ES modules. */
const NO_COMMONJS = ["load/workerd", "load/emulator-workerd"];

/** Type-checks everything and writes .d.ts for `import`, .d.cts for `require`. */
export async function declarations(dist) {
  await run(tool("tsc"), ["--project", template("tsconfig.json"), "--emitDeclarationOnly", "--outDir", dist], {
    cwd: template("."),
  });
  const made = (await reachable()).map((path) => path.replace(/\.js$/, ".d.ts"));
  for (const path of made.filter((path) => path.endsWith(".d.ts"))) {
    const to = join(dist, relative(SOURCE, path));
    await mkdir(dirname(to), { recursive: true });
    await cp(path, to);
  }
  const written = (await files(dist)).filter((path) => path.endsWith(".d.ts"));
  for (const path of written) {
    const text = await readFile(path, "utf8");
    refuseNodeTypes(relative(dist, path), text);
    await writeFile(path.replace(/\.d\.ts$/, ".d.cts"), specifiersOfCommonJs(text));
  }
  return `${written.length} declarations`;
}

/** Types of Node in a declaration make every page that uses it install them. */
export function refuseNodeTypes(name, text) {
  const code = text.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/(?!\/).*$/gm, "");
  const found = code.match(/\bBuffer\b|\bNodeJS\b|<reference types=|from "node:/);
  if (found) throw new Error(`dist/${name} mentions ${found[0]}: pages have no types of Node`);
}

function specifiersOfCommonJs(text) {
  return text.replace(/(from|import\()(\s*)"(\.[^"]*)\.js"/g, '$1$2"$3.cjs"');
}

export async function javascript(dist) {
  const sources = await reachable();
  const common = {
    outbase: SOURCE,
    outdir: dist,
    bundle: true,
    target: "es2022",
    sourcemap: "linked",
    legalComments: "none",
    charset: "utf8",
    logLevel: "error",
    tsconfig: template("tsconfig.json"),
  };
  await build({
    ...common,
    entryPoints: sources,
    format: "esm",
    platform: "neutral",
    plugins: [everythingStaysOutside((path) => path)],
  });
  await build({
    ...common,
    entryPoints: sources.filter((path) => !NO_COMMONJS.some((name) => path.endsWith(`${name}.ts`))),
    format: "cjs",
    platform: "node",
    outExtension: { ".js": ".cjs" },
    plugins: [everythingStaysOutside((path) => path.replace(/^(\..*)\.js$/, "$1.cjs"))],
    define: { "import.meta.url": "__moduleUrl" },
    inject: [template("build/module-url.js")],
  });
  for (const path of (await files(dist)).filter((path) => path.endsWith(".cjs"))) {
    const text = await readFile(path, "utf8");
    // In a package of type "module" esbuild takes every CommonJS file for one that Node would import, whose
    // `default` is all of it. Ours were ES modules and say so.
    await writeFile(path, text.replace(/__toESM\(require\("([.#][^"]*)"\), 1\)/g, '__toESM(require("$1"))'));
  }
  return `${sources.length} modules, twice`;
}

/** What the package's entries and loaders import, directly or not: nothing else is published. */
async function reachable() {
  const entries = (await files(SOURCE)).filter(
    (path) => ["", "load"].includes(relative(SOURCE, dirname(path))) && path.endsWith(".ts") && !path.endsWith(".d.ts"),
  );
  const { metafile } = await build({
    entryPoints: entries,
    absWorkingDir: template("."),
    outdir: "unwritten",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    packages: "external",
    external: ["*.wasm", "#*", "node:*"],
    logLevel: "error",
  });
  return Object.keys(metafile.inputs).map(template).sort();
}

/** One file in, one file out: every import is left as it is, under the name that `rename` gives. */
function everythingStaysOutside(rename) {
  return {
    name: "everything-stays-outside",
    setup({ onResolve }) {
      onResolve({ filter: /.*/ }, ({ kind, path }) =>
        kind === "entry-point" || path === template("build/module-url.js")
          ? undefined
          : { path: rename(path), external: true },
      );
    },
  };
}
