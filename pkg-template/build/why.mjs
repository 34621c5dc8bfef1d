// Where the bytes of a module go: by section, by crate, by function. Names are kept for this alone.
// usage: node build/why.mjs <wasm-bindgen> <module as linked> <scratch folder> <name> <how many functions>

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { run, tool } from "./steps.mjs";

const [bindgen, linked, scratch, name, many] = process.argv.slice(2);
const SECTIONS = ["custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"];

const EXPORTS = "(exports and what the compiler made)";

await mkdir(scratch, { recursive: true });
await run(bindgen, ["--target", "web", "--out-name", name, "--out-dir", scratch, linked]);
const named = join(scratch, `${name}-named.wasm`);
await run(tool("wasm-opt"), [join(scratch, `${name}_bg.wasm`), "-Oz", "--debuginfo", "-o", named]);
const { sections, functions } = read(await readFile(named));

print(`${name}.wasm by section`, [...sections].filter(([section]) => section !== "custom"));
const crates = new Map();
for (const each of functions) add(crates, crateOf(each.name), each.bytes);
print("code by crate", [...crates]);
const rooms = new Map();
for (const each of functions.filter((each) => crateOf(each.name) === "eventhubs")) add(rooms, roomOf(each.name), each.bytes);
print("code of eventhubs by room", [...rooms]);
const modules = new Map();
for (const each of functions.filter((each) => !["eventhubs", EXPORTS].includes(crateOf(each.name)))) {
  add(modules, moduleOf(each.name), each.bytes);
}
print("code of other crates by module", [...modules]);
print(
  `the ${many} biggest functions`,
  functions.map((each) => [each.name, each.bytes]),
  Number(many),
);

function print(title, rows, most = 40) {
  const total = rows.reduce((sum, [, bytes]) => sum + bytes, 0);
  console.log(`\n${title} (${total} bytes)`);
  for (const [what, bytes] of rows.sort((a, b) => b[1] - a[1]).slice(0, most)) {
    console.log(`${String(bytes).padStart(8)} ${((100 * bytes) / total).toFixed(1).padStart(5)} %  ${what.slice(0, 150)}`);
  }
}

/** The crate that wrote the code: of `<A as B>::f` that of A, unless A is the compiler's own. */
function crateOf(name) {
  const paths = [...name.matchAll(/([A-Za-z_][A-Za-z0-9_]*)(?:\[[0-9a-f]+\])?::/g)].map(([, crate]) => crate);
  if (paths.length === 0) return EXPORTS;
  const own = paths.find((path) => path === "eventhubs");
  if (name.startsWith("<")) return own ?? paths[0];
  return paths[0];
}

/** The first two modules of this crate in a name: `dialect::codec`. */
function roomOf(name) {
  const found = name.match(/eventhubs(?:\[[0-9a-f]+\])?::([a-z_]+)(?:::([a-z_]+))?/);
  return found ? [found[1], found[2]].filter(Boolean).join("::") : "(other)";
}

/** The first three names of a path, generics left out: `core::slice::sort`, `core::ptr::drop_in_place`. */
function moduleOf(name) {
  const path = name.replace(/\[[0-9a-f]+\]/g, "").replace(/^<+(?:impl )?&*/, "").replace(/[<>].*$/, "").replace(/ as .*/, "");
  return path.split("::").slice(0, 3).join("::");
}

function add(map, key, bytes) {
  map.set(key, (map.get(key) ?? 0) + bytes);
}

/** The sizes of a module's sections and function bodies, with the names of its name section. */
function read(bytes) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const text = () => {
    const length = number();
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  const sections = new Map();
  const names = new Map();
  const bodies = [];
  let imported = 0;
  while (at < bytes.length) {
    const id = bytes[at++];
    const length = number();
    const end = at + length;
    add(sections, SECTIONS[id] ?? `section ${id}`, length);
    if (id === 2) imported = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).filter((each) => each.kind === "function").length;
    if (id === 10) {
      for (let left = number(); left > 0; left--) {
        const size = number();
        bodies.push(size);
        at += size;
      }
    }
    if (id === 0 && text() === "name") {
      while (at < end) {
        const kind = bytes[at++];
        const stop = number() + at;
        if (kind === 1) for (let left = number(); left > 0; left--) names.set(number(), text());
        at = stop;
      }
    }
    at = end;
  }
  const functions = bodies.map((size, index) => ({
    bytes: size,
    name: names.get(index + imported) ?? `function ${index + imported}`,
  }));
  return { sections, functions };
}
