// The declarations: strict, nothing skipped, no types of Node, every mode of resolution, two compilers; and what the
// linters of packages say.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { entries, home, project, run, tarball } from "./support/project.mjs";

const compilers = {
  "TypeScript 7": [process.execPath, [join(home, "node_modules/typescript/bin/tsc")]],
  "TypeScript 5": [process.execPath, [join(home, "node_modules/typescript5/lib/tsc.js")]],
};
const modes = {
  bundler: { module: "esnext", moduleResolution: "bundler", type: "module" },
  "node16, ESM": { module: "node16", moduleResolution: "node16", type: "module" },
  "node16, CommonJS": { module: "node16", moduleResolution: "node16", type: "commonjs" },
};

for (const [compiler, [program, first]] of Object.entries(compilers)) {
  for (const [mode, { type, ...options }] of Object.entries(modes)) {
    test(`${compiler} accepts the declarations: ${mode}`, async (t) => {
      const folder = await project(t, ["types.ts"], { manifest: { type } });
      await writeFile(join(folder, "entries.ts"), everyEntry());
      const compilerOptions = {
        ...{ strict: true, skipLibCheck: false, types: [], noEmit: true, target: "es2022", exactOptionalPropertyTypes: true },
        ...{ lib: ["ES2022", "DOM", "DOM.Iterable", "DOM.AsyncIterable", "ESNext.Disposable"], ...options },
      };
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
      await run(program, [...first, "--project", folder], { cwd: folder });
    });
  }
}

/** Every entry resolves and has the class that it is there for. */
function everyEntry() {
  const classes = { "./compat": "EventHubProducerClient", "./emulator": "Emulator", "./processor": "EventProcessor", "./processor/node": "FileCheckpointStore", "./outbox": "Outbox" };
  return entries
    .map((entry, index) => {
      const name = entry.replace(/^\./, "eventhubs");
      return `import { ${classes[entry] ?? "ProducerClient"} as Entry${index} } from "${name}";\nvoid Entry${index};\n`;
    })
    .join("");
}

test("publint has nothing to say", async (t) => {
  const folder = await project(t, []);
  const pkgDir = join(folder, "node_modules/eventhubs");
  const manifest = JSON.parse(await readFile(join(pkgDir, "package.json"), "utf8"));
  const { messages } = await publint({ pkgDir, level: "suggestion", strict: true, pack: false });
  assert.deepEqual(messages.map((message) => formatMessage(message, manifest)), []);
});

test("attw finds that every entry's types are those of its code", async () => {
  // A .wasm file has no types that it could judge; node10 is what Node was before `exports`, and this package needs 20.
  await run(process.execPath, [
    ...[join(home, "node_modules/@arethetypeswrong/cli/dist/index.js"), tarball(), "--profile", "node16", "--no-emoji"],
    ...["--exclude-entrypoints", "./eventhubs.wasm", "./eventhubs-emulator.wasm", "./package.json"],
  ]);
});

test("the package depends on nothing", async (t) => {
  const folder = await project(t, []);
  const manifest = JSON.parse(await readFile(join(folder, "node_modules/eventhubs/package.json"), "utf8"));
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.devDependencies, undefined);
  assert.equal(manifest.scripts, undefined);
  assert.deepEqual(manifest.peerDependenciesMeta, { ws: { optional: true } });
});
