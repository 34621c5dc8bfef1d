/**
 * The same as `eventhubs`, with the engine inside the JavaScript: for bundlers that leave a `.wasm` file behind, for pages of
 * one file and for extensions. A third larger on the wire, and it compiles later.
 *
 * @module
 */

import { webSocket } from "#load";
import { useSource } from "./internal/engine.js";
import { compile } from "./load/compile.js";
import { deflated } from "./wasm/eventhubs-inline.js";

useSource({ module: unpack, webSocket });

export * from "./core.js";

async function unpack(): Promise<WebAssembly.Module> {
  const packed = Uint8Array.from(atob(deflated), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return compile(new Uint8Array(await new Response(stream).arrayBuffer()), "eventhubs/inline");
}
