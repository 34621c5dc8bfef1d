// Browsers, and everything else that can fetch what lies beside its code.

import { compile } from "./compile.js";

export default async function load(): Promise<WebAssembly.Module> {
  const url = new URL("../eventhubs-emulator.wasm", import.meta.url);
  const response = await fetch(url);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return compile(bytes, url.href, response.ok ? undefined : `HTTP ${response.status}`);
}
