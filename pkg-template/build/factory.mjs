// wasm-bindgen's glue keeps its instance in variables of the module, so there is one instance for ever. Here that
// module becomes the body of a function: each call makes an instance of its own, which is let go with all of its memory
// when nobody holds what the call gave.

/** The glue's JavaScript (`--target web`), exporting `instantiate(module)` alone. */
export function factory(glue) {
  const classes = [...glue.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
  const body = glue
    .replace(/^export (class|function)/gm, "$1")
    .replace(/^export \{ initSync, __wbg_init as default \};$/m, "");
  if (classes.length === 0 || /^(import|export)\b/m.test(body)) {
    throw new Error("wasm-bindgen's glue has another form than build/factory.mjs knows");
  }
  return [
    "export async function instantiate(module_or_path) {",
    body,
    "await __wbg_init({ module_or_path });",
    `return { ${classes.join(", ")} };`,
    "}",
    "",
  ].join("\n");
}

/** The same for its declarations. */
export function factoryTypes(types) {
  const end = types.indexOf("\nexport type InitInput");
  const classes = [...types.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
  return [
    types.slice(0, end < 0 ? undefined : end).replace(/^export class/gm, "declare class"),
    `export type { ${classes.join(", ")} };`,
    "/** A new instance of the module. It is gone when nothing of it is held any more. */",
    "export function instantiate(module: WebAssembly.Module): Promise<{",
    ...classes.map((name) => `  ${name}: typeof ${name};`),
    "}>;",
    "",
  ].join("\n");
}
