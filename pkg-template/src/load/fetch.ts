// Browsers, and everything else that can fetch what lies beside its code.

import { compile } from "./compile.js";

export default async function load(): Promise<WebAssembly.Module> {
  const url = new URL("../eventhubs.wasm", import.meta.url);
  const response = await fetch(url);
  if (response.ok && response.headers.get("content-type") === "application/wasm") {
    return WebAssembly.compileStreaming(response);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  return compile(bytes, url.href, response.ok ? undefined : `HTTP ${response.status}`);
}

/** Where there is no global WebSocket, there is no other either. */
export async function webSocket(): Promise<undefined> {
  return undefined;
}
