// The types: users' code compiles with either package, and every shape of theirs is taken by ours.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

import { remove, scratch } from "./support/pair.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const LIMIT = { timeout: 120_000 };
const STRICT = {
  ...{ target: "es2022", module: "nodenext", moduleResolution: "nodenext", strict: true, noEmit: true, lib: ["es2023", "dom", "dom.iterable"] },
  ...{ noUncheckedIndexedAccess: true, noImplicitOverride: true, types: [] },
};
let folder;

before(async () => {
  folder = await scratch();
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
});
after(() => remove(folder));

/** What the compiler says about one file; nothing when it is content. */
async function compile(name, text, options) {
  const home = join(folder, name);
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "checked.ts"), text);
  await writeFile(join(home, "package.json"), `{ "type": "${options.commonJs ? "commonjs" : "module"}" }`);
  const { commonJs: _, ...more } = options;
  await writeFile(join(home, "tsconfig.json"), JSON.stringify({ compilerOptions: { ...STRICT, ...more }, files: ["checked.ts"] }));
  const tsc = spawn(process.execPath, [join(HERE, "node_modules/typescript/bin/tsc"), "--project", home], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  tsc.stdout.setEncoding("utf8").on("data", (more) => (said += more));
  await once(tsc, "close");
  return said;
}

const source = (name) => readFile(join(HERE, "types", name), "utf8");
// Their declarations name types of Node that lie elsewhere, and do not compile by themselves.
const THEIRS = { skipLibCheck: true, types: ["node"] };
const OURS = { skipLibCheck: false, types: [] };

/** Its imports are two: of values and of types. */
const changed = (text) => text.replaceAll('from "@azure/event-hubs"', 'from "eventhubs/compat"');

test("users' code compiles with the official types", LIMIT, async () => {
  assert.equal(await compile("theirs", await source("samples.ts"), THEIRS), "");
});

test("the same code compiles with ours, without types of Node and with every declaration checked", LIMIT, async () => {
  assert.equal(await compile("ours", changed(await source("samples.ts")), OURS), "");
});

test("and in CommonJS", LIMIT, async () => {
  assert.equal(await compile("ours-cjs", changed(await source("samples.ts")), { ...OURS, commonJs: true }), "");
});

test("and under exactOptionalPropertyTypes", LIMIT, async () => {
  assert.equal(await compile("ours-exact", changed(await source("samples.ts")), { ...OURS, exactOptionalPropertyTypes: true }), "");
});

test("ours take all that theirs take, and give what theirs give", LIMIT, async () => {
  assert.equal(await compile("assignable", await source("assignable.ts"), { ...THEIRS, skipLibCheck: true }), "");
});

test("the compiler would tell", LIMIT, async () => {
  const wrong = changed(await source("samples.ts")).replace("maxRetries: 5", 'maxRetries: "5"');
  assert.match(await compile("wrong", wrong, OURS), /TS2322/);
  const narrower = (await source("assignable.ts")).replace("Takes<Theirs.EventData, Ours.EventData>", "Takes<Theirs.EventData, Ours.Checkpoint>");
  assert.match(await compile("narrower", narrower, THEIRS), /TS2344/);
});
