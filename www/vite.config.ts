import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Makes the package that `cargo xtask package` built available under its name, so that it is resolved by its own
 * `exports`, as it is for everybody else. A `file:` dependency would have to exist before anything can be installed.
 */
function linkPackage(): void {
  const built = env.EVENTHUBS_PACKAGE ?? resolve(here, "../target/package/eventhubs");
  const link = resolve(here, "node_modules/eventhubs");
  if (!existsSync(resolve(built, "package.json"))) {
    throw new Error(`There is no package in ${built}: run \`cargo xtask package\` first.`);
  }
  mkdirSync(dirname(link), { recursive: true });
  if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link, { recursive: true });
  symlinkSync(built, link, "junction");
}

linkPackage();

export default defineConfig({
  root: here,
  // Relative, so that the page can be served from any folder of any server.
  base: "./",
  // The console gives the package no reason to be bundled ahead: its wasm is found beside its modules.
  optimizeDeps: { exclude: ["eventhubs"] },
  // The bundle of the unit tests lies where no package is found.
  ssr: { noExternal: true },
  build: {
    outDir: env.EVENTHUBS_CONSOLE_OUT ?? resolve(here, "../target/console"),
    emptyOutDir: true,
    target: "es2022",
    // A data: URL is not something that the page's content security policy lets it fetch.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
