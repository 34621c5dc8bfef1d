// Tabs of a real browser that share a hub's partitions, by its database and its locks.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build as esbuild } from "esbuild";
import { startEmulator } from "../interop/js/emulator.mjs";
import { load, serve, startBrowser } from "./support/browser.mjs";
import { project, without, writePage } from "./support/project.mjs";

const PARTITIONS = ["0", "1", "2", "3", "4", "5", "6", "7"];
const DEADLINE = 20_000;
const skip = without("./processor");

let emulator;
let browser;

before(async () => {
  emulator = await startEmulator(...["two", "three", "crash", "reload", "stop"].flatMap((hub) => ["--hub", `${hub}:8`]));
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await emulator?.stop();
});

/** A folder with a page, served. */
async function site(t, program) {
  const folder = await project(t, ["result.mjs", program]);
  const script = program.replace(".mjs", ".js");
  await esbuild({
    entryPoints: [join(folder, program)],
    ...{ absWorkingDir: folder, outdir: join(folder, "dist"), bundle: true, format: "esm", platform: "browser", logLevel: "silent" },
  });
  await writePage(join(folder, "dist"), `./${script}`);
  return serve(t, join(folder, "dist"));
}

/** Opens tabs of one browser profile, and looks at all that are open. */
async function window_(t, hub, strategy) {
  const address = new URL(await site(t, "page-tab.mjs"));
  address.searchParams.set("hub", hub);
  address.searchParams.set("strategy", strategy);
  address.searchParams.set("connectionString", emulator.announcement.connectionString);
  const context = await browser.newContext();
  t.after(() => context.close());
  const tabs = [];
  const each = (look) => Promise.all(tabs.map((tab) => tab.evaluate(look)));
  return {
    tabs,
    each,
    open: async (count) => {
      for (let number = 0; number < count; number++) {
        const tab = await context.newPage();
        tab.on("pageerror", (error) => assert.fail(error));
        await tab.goto(address.href);
        tabs.push(tab);
      }
    },
    /** Waits until all partitions are shared so. */
    shared: (...shares) =>
      until(async () => {
        const owned = await each(() => globalThis.tab?.owned() ?? []);
        return owned.flat().sort().join() === PARTITIONS.join() && owned.map(({ length }) => length).sort().join() === shares.join();
      }, `shares of ${shares}`),
    seen: async () => (await each(() => globalThis.tab.seen)).flat().sort(),
    noErrors: async () => assert.deepEqual((await each(() => globalThis.tab.errors)).flat(), []),
  };
}

async function until(condition, what) {
  const giveUp = performance.now() + DEADLINE;
  while (!(await condition())) {
    if (performance.now() > giveUp) throw new Error(`not within ${DEADLINE} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("the store in IndexedDB keeps every promise, with the browser's locks and without", { skip }, async (t) => {
  const address = await site(t, "page-stores.mjs");
  for (const locks of ["held", "none"]) {
    const kept = await load(t, browser, address, { locks });
    assert.equal(kept.length, 22);
  }
});

/** The browser takes a tab away: its owner closes it, or it crashes. */
const ends = {
  closed: (tab) => tab.close(),
  crashed: async (tab) => {
    const crashed = new Promise((resolve) => tab.once("crash", resolve));
    // It never answers.
    tab.goto("chrome://crash").catch(() => undefined);
    await crashed;
  },
};

for (const [hub, strategy, before, after, end] of [
  ["two", "balanced", [4, 4], [8], "closed"],
  ["three", "greedy", [2, 3, 3], [4, 4], "closed"],
  ["crash", "greedy", [4, 4], [8], "crashed"],
]) {
  test(`${before.length} tabs share eight partitions (${strategy}), and one that ${end === "closed" ? "is closed" : "crashes"} leaves its own at once`, { skip }, async (t) => {
    const { tabs, open, shared, seen, each, noErrors } = await window_(t, hub, strategy);
    await open(before.length);
    await shared(...before);
    const send = (text) => tabs[0].evaluate((text) => Promise.all(["0", "1", "2", "3", "4", "5", "6", "7"].map((id) => globalThis.tab.send(id, text))), text);
    await send("first");
    await until(async () => (await seen()).length === 8, "every event");
    await until(async () => Object.keys(await tabs[0].evaluate(() => globalThis.tab.checkpoints())).length === 8, "its checkpoint");
    assert.deepEqual(await seen(), PARTITIONS.map((id) => `${id}:first`));
    const last = tabs.pop();
    const left = await last.evaluate(() => globalThis.tab.owned());
    const endedAt = Date.now();
    await ends[end](last);
    await shared(...after);
    const begun = Object.assign({}, ...(await each(() => globalThis.tab.begun)));
    const moved = Math.max(...left.map((id) => begun[id])) - endedAt;
    t.diagnostic(`${left.length} partitions of a tab that ${end === "closed" ? "was closed" : "crashed"} were read by others after ${moved} ms`);
    assert.ok(moved < 1000, `it took ${moved} ms`);
    await send("second");
    await until(async () => (await seen()).filter((text) => text.endsWith("second")).length === 8, "every later event, once");
    await noErrors();
  });
}

test("a tab that is loaded again goes on at the checkpoint", { skip }, async (t) => {
  const { tabs, open, shared, seen } = await window_(t, "reload", "greedy");
  await open(1);
  await shared(8);
  const send = (text) => tabs[0].evaluate((text) => globalThis.tab.send("5", text), text);
  for (const text of ["a", "b", "c"]) await send(text);
  await until(async () => (await seen()).length === 3, "three events");
  await until(async () => (await tabs[0].evaluate(() => globalThis.tab.checkpoints()))[5] === 2, "the checkpoint");
  await tabs[0].reload();
  await shared(8);
  await send("d");
  await until(async () => (await seen()).length > 0, "the fourth");
  assert.deepEqual(await seen(), ["5:d"]);
});

test("a tab that stops reading and stays open leaves its partitions, too", { skip }, async (t) => {
  const { tabs, open, shared, each } = await window_(t, "stop", "greedy");
  await open(2);
  await shared(4, 4);
  await tabs[0].evaluate(() => globalThis.tab.stop());
  await shared(0, 8);
  const [closed] = await each(() => globalThis.tab.closed);
  assert.equal(closed.filter((text) => text.endsWith(":shutdown")).length, 4);
});
