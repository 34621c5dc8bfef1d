// The folder that npm publishes, and the tarball of it.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { files, run, template } from "./steps.mjs";

/** Where the modules lie: beside the entries, from load/ one up. */
const wasmFolder = "dist";

export async function assemble({ dist, modules, version, out }) {
  const folder = join(out, "eventhubs");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await cp(dist, join(folder, "dist"), { recursive: true });
  for (const path of modules) await cp(path, join(folder, wasmFolder, basename(path)));
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) await cp(template(`../${name}`), join(folder, name));
  await cp(template("README.md"), join(folder, "README.md"));

  const manifest = JSON.parse(await readFile(template("package.json"), "utf8"));
  manifest.version = version;
  delete manifest.scripts;
  delete manifest.devDependencies;
  await writeFile(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  refuseMissing(folder, manifest);

  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  await run(npm, ["pack", "--silent", "--ignore-scripts", "--pack-destination", dirname(folder)], { cwd: folder });
  const packed = (await readFile(join(out, `eventhubs-${version}.tgz`))).length;
  return `${(await files(folder)).length} files, tarball ${(packed / 1000).toFixed(0)} kB`;
}

/** Every file that the manifest names exists. */
function refuseMissing(folder, manifest) {
  const named = JSON.stringify([manifest.exports, manifest.imports, manifest.main, manifest.types]);
  const missing = [...named.matchAll(/"(\.\/[^"]+\.[a-z]+)"/g)]
    .map(([, path]) => path)
    .filter((path) => path.startsWith("./dist/") && !existsSync(join(folder, path)));
  if (missing.length > 0) {
    throw new Error(`package.json names files that do not exist: ${[...new Set(missing)].join(", ")}`);
  }
}
