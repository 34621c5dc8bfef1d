// Node, and Deno and Bun, which have its file system.

import { compile } from "./compile.js";

export default async function load(): Promise<WebAssembly.Module> {
  const url = new URL("../eventhubs-emulator.wasm", import.meta.url);
  // Its types are not asked for: pages have none of Node.
  const files: { readFile(url: URL): Promise<Uint8Array> } = await import("node:fs/promises" as string);
  return compile(await files.readFile(url), url.href);
}
