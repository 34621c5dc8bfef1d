// Node, and Deno and Bun, which have its file system.

import { compile } from "./compile.js";
import { masking } from "./masking.js";

export default async function load(): Promise<WebAssembly.Module> {
  const url = new URL("../eventhubs.wasm", import.meta.url);
  // Its types are not asked for: pages have none of Node.
  const files: { readFile(url: URL): Promise<Uint8Array> } = await import("node:fs/promises" as string);
  return compile(await files.readFile(url), url.href);
}

/** The class of the package `ws`, where it is installed: Node before 22 has none of its own. */
export async function webSocket(): Promise<unknown> {
  try {
    const ws: { WebSocket?: unknown; default?: unknown } = await import("ws" as string);
    return masking(ws.WebSocket ?? ws.default);
  } catch {
    return undefined;
  }
}
