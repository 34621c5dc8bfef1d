// Edge workers do not compile at run time: their bundler hands the compiled module over.

// @ts-ignore: whoever bundles knows what a .wasm file is.
import module from "../eventhubs.wasm";

export default async function load(): Promise<WebAssembly.Module> {
  return module as WebAssembly.Module;
}

/** Edge workers have a global WebSocket. */
export async function webSocket(): Promise<undefined> {
  return undefined;
}
