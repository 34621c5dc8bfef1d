// Outboxes in tabs of a real browser that are closed, loaded again and crash, and in processes that are killed, while the emulator comes and goes and
// acknowledgements are lost.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { build as esbuild } from "esbuild";
import { startEmulator } from "../interop/js/emulator.mjs";
import { serve, startBrowser } from "./support/browser.mjs";
import { answer, project, without, writePage } from "./support/project.mjs";

const HUB = "outbox";
const skip = without("./outbox");
/** The long form: OUTBOX_KILLS=100 OUTBOX_EVENTS=10000. */
const KILLS = Number(process.env.OUTBOX_KILLS ?? 6);
const EVENTS = Number(process.env.OUTBOX_EVENTS ?? 300);
const TABS = 2;
const KEYS = 3;
const DEADLINE = 60_000;

let browser;

before(async () => (browser = await startBrowser()));
after(() => browser?.close());

/** An emulator that keeps its port and its events, and loses acknowledgements. */
async function service(t) {
  const data = await mkdtemp(join(tmpdir(), "eventhubs-outbox-"));
  let emulator;
  let port = "0";
  let lost = 0;
  const faults = () => `http://127.0.0.1:${port}/$faults`;
  const it = {
    up: async (isWell = false) => {
      if (emulator !== undefined) return;
      emulator = await startEmulator("--hub", `${HUB}:3`, "--data-dir", data, "--port", port);
      port = String(emulator.announcement.port);
      if (isWell) return;
      const body = { kind: "lose-ack", then: "drop", entity: HUB, probability: 0.2, seed: Math.floor(Math.random() * 1e9) };
      const set = await fetch(faults(), { method: "POST", body: JSON.stringify(body) });
      assert.equal(set.status, 201, await set.text());
    },
    down: async () => {
      if (emulator === undefined) return;
      lost += (await (await fetch(faults())).json()).faults.reduce((sum, { hits }) => sum + hits, 0);
      await emulator.kill();
      emulator = undefined;
    },
    connectionString: () => emulator.announcement.connectionString,
    lost: () => lost,
  };
  t.after(async () => {
    await emulator?.kill();
    await rm(data, { recursive: true, force: true });
  });
  await it.up();
  return it;
}

/** A page that is not there any more, one way or another. */
const ENDS = {
  close: (tab) => tab.close(),
  reload: async (tab) => {
    await tab.reload();
    return tab;
  },
  crash: async (tab) => {
    const crashed = new Promise((resolve) => tab.once("crash", resolve));
    // It never answers.
    tab.goto("chrome://crash").catch(() => undefined);
    await crashed;
  },
};

async function until(condition, what) {
  const giveUp = performance.now() + DEADLINE;
  while (!(await condition())) {
    if (performance.now() > giveUp) throw new Error(`not within ${DEADLINE} ms: ${what}`);
    await pause(10);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const below = (bound) => Math.floor(Math.random() * bound);

/** Opens tabs of one browser profile that share an outbox. */
async function window_(t, emulator) {
  const folder = await project(t, ["page-outbox.mjs", "stored.mjs"]);
  const options = { absWorkingDir: folder, outdir: join(folder, "dist"), bundle: true, format: "esm", platform: "browser", logLevel: "silent" };
  await esbuild({ entryPoints: [join(folder, "page-outbox.mjs")], target: "es2022", ...options });
  await writePage(join(folder, "dist"), "./page-outbox.js");
  const address = new URL(await serve(t, join(folder, "dist")));
  address.searchParams.set("hub", HUB);
  address.searchParams.set("connectionString", emulator.connectionString());
  const context = await browser.newContext();
  t.after(() => context.close());
  const kept = [];
  const crashed = new Set();
  await context.exposeFunction("kept", (text) => void kept.push(text));
  const ready = async (tab, keys) => {
    const there = tab.waitForFunction(() => globalThis.tab !== undefined, undefined, { timeout: DEADLINE, polling: 50 });
    await there.catch((error) => {
      throw new Error(`the page does not come up; ${kept.length} events were kept, it ${crashed.has(tab) ? "has" : "has not"} crashed: ${error.message}`);
    });
    await tab.evaluate((keys) => globalThis.tab.enqueue(keys), keys);
  };
  return {
    kept,
    crashed,
    ready,
    open: async (keys) => {
      const tab = await context.newPage();
      tab.on("crash", () => crashed.add(tab));
      tab.on("pageerror", (error) => assert.fail(error));
      await tab.goto(address.href, { waitUntil: "commit", timeout: DEADLINE });
      await ready(tab, keys);
      return tab;
    },
  };
}

test("whatever becomes of the tabs, each event is stored once and in order", { skip }, async (t) => {
  const emulator = await service(t);
  const { kept, crashed, ready, open } = await window_(t, emulator);
  const keys = (slot) => Array.from({ length: KEYS }, (_, key) => `tab-${slot}-${key}`);
  const tabs = [];
  for (let slot = 0; slot < TABS; slot += 1) tabs.push(await open(keys(slot)));
  const ended = { close: 0, reload: 0, crash: 0 };
  let outages = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const enough = ((kill + 1) * EVENTS) / KILLS;
    await until(() => kept.length >= enough, `${enough} events`);
    if (below(2) === 0) {
      outages += 1;
      await emulator.down();
    }
    await pause(below(150));
    const slot = below(TABS);
    const end = Object.keys(ended)[kill % 3];
    ended[end] += 1;
    // Tabs of one origin may share a process, and crash together; that is told for each of them, some time.
    const isThere = !crashed.has(tabs[slot]);
    const same = isThere ? await ENDS[end](tabs[slot]) : undefined;
    if (same === undefined) tabs[slot] = undefined;
    else await ready(same, keys(slot));
    if (end === "crash") await pause(300);
    for (let each = 0; each < TABS; each += 1) {
      if (crashed.has(tabs[each])) await tabs[each].close();
      if (tabs[each] === undefined || crashed.has(tabs[each])) tabs[each] = await open(keys(each));
    }
    await pause(below(200));
    await emulator.up();
  }
  await emulator.down();
  await emulator.up(true);
  // Nothing more is enqueued; another page sends what is left.
  for (const tab of tabs) await tab.close({ runBeforeUnload: false });
  const last = await open([]);
  await last.evaluate(() => globalThis.tab.outbox.flush({ timeoutMs: 60_000 }));
  const state = await last.evaluate(() => globalThis.tab.outbox.state());
  assert.deepEqual([state.waitingEvents, state.deadLetters, state.isSending], [0, 0, true]);

  const stored = await last.evaluate(() => globalThis.tab.stored());
  judge(kept, stored);
  t.diagnostic(
    `${KILLS} tabs gone (${JSON.stringify(ended)}), ${outages} outages, ${emulator.lost()} acknowledgements lost: ${kept.length} events were ` +
      `enqueued, each is stored once and in order; ${stored.length - kept.length} more were on their way`,
  );
});

test("however often a process is killed, each event is stored once and in order", { skip }, async (t) => {
  const emulator = await service(t);
  const folder = await project(t, ["node-outbox.mjs", "stored.mjs"], { also: ["ws"] });
  const worker = (what) => [join(folder, "node-outbox.mjs"), what, join(folder, "outbox"), emulator.connectionString(), HUB];
  const kept = [];
  let outages = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const enough = ((kill + 1) * EVENTS) / KILLS;
    const child = spawn(process.execPath, worker("enqueue"), { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(child, "close");
    const lines = createInterface(child.stdout).on("line", (line) => void kept.push(line.replace("kept ", "")));
    await until(() => kept.length >= enough || child.exitCode !== null, `${enough} events`);
    if (below(2) === 0) {
      outages += 1;
      await emulator.down();
    }
    await pause(below(300));
    assert.equal(child.exitCode, null, "it ended by itself");
    child.kill("SIGKILL");
    await exited;
    lines.close();
    await emulator.up();
  }
  await emulator.down();
  await emulator.up(true);
  const stored = await answer(process.execPath, worker("flush"), { cwd: folder });
  judge(kept, stored);
  t.diagnostic(
    `killed ${KILLS} times, ${outages} outages, ${emulator.lost()} acknowledgements lost: ${kept.length} events were enqueued, each is stored ` +
      `once and in order; ${stored.length - kept.length} more were on their way`,
  );
});

/** What was enqueued is there, and nothing twice or out of order. */
function judge(kept, stored) {
  const numbers = new Map();
  for (const text of stored) {
    const [key, life, number] = text.split(":");
    const before = numbers.get(key) ?? [0, 0];
    const now = [Number(life), Number(number)];
    assert.ok(now[0] > before[0] || (now[0] === before[0] && now[1] > before[1]), `${text} is stored twice or out of order: behind ${before}`);
    numbers.set(key, now);
  }
  const found = new Set(stored);
  const missing = kept.filter((text) => !found.has(text));
  assert.deepEqual(missing, [], `${missing.length} of ${kept.length} events that were enqueued are lost`);
}

test("when the tab that sends goes, another takes over at once", { skip }, async (t) => {
  const emulator = await service(t);
  await emulator.down();
  await emulator.up(true);
  const { open } = await window_(t, emulator);
  const first = await open([]);
  const second = await open([]);
  const sends = (tab) => tab.evaluate(async () => (await globalThis.tab.outbox.state()).isSending);
  assert.deepEqual([await sends(first), await sends(second)], [true, false]);
  const enqueue = (tab, text) => tab.evaluate((text) => globalThis.tab.outbox.enqueue(text).then(() => globalThis.tab.outbox.flush()), text);
  await enqueue(second, "by the second, sent by the first");
  assert.equal(await second.evaluate(async () => (await globalThis.tab.outbox.state()).sent), 1);
  await first.close();
  const closedAt = Date.now();
  await until(() => sends(second), "the second sends");
  t.diagnostic(`taken over after ${Date.now() - closedAt} ms`);
  assert.ok(Date.now() - closedAt < 1000);
  await enqueue(second, "by the second");
  assert.equal((await second.evaluate(() => globalThis.tab.stored())).length, 2);
});

test("a profile that is put back from a copy loses nothing that is new", { skip }, async (t) => {
  const emulator = await service(t);
  await emulator.down();
  await emulator.up(true);
  const { open } = await window_(t, emulator);
  const sends = async (tab, body) => {
    const event = { body, partitionId: "0" };
    await tab.evaluate(({ body, partitionId }) => globalThis.tab.outbox.enqueue(body, { partitionId }).then(() => globalThis.tab.outbox.flush()), event);
  };
  const first = await open([]);
  await sends(first, "a");
  await first.evaluate(() => globalThis.tab.backUp());
  await sends(first, "b");
  await first.close();
  const second = await open([]);
  await second.evaluate(() => globalThis.tab.putBack());
  await second.close();
  // What is in its database is one event old; the numbers have been used since.
  const third = await open([]);
  await sends(third, "c");
  assert.deepEqual(await third.evaluate(() => globalThis.tab.stored()), ["a", "b", "c"]);
});
