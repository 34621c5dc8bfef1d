// How long a page's main thread is held up while events arrive at a rate: the longest task in DevTools' own trace.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { open, withBrowser } from "./browser.mjs";
import { job as arguments_, report } from "./support.mjs";

const job = arguments_();
/** Until code is compiled and events come evenly. */
const WARMUP_S = 3;
/** The producer goes on for longer than it is listened to, also where a machine is busy; then it is ended. */
const SPARE_S = 60;

await report(() =>
  withBrowser(job.sdk, async (browser, address) => {
    const page = await open(browser, address);
    await page.evaluate(async (job) => (await globalThis.load(job.sdk)).follow(job), job);
    const producer = spawn(process.execPath, [fileURLToPath(new URL("node.mjs", import.meta.url)), ...producerArguments()], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(producer, "exit");
    let said = "";
    producer.stderr.setEncoding("utf8").on("data", (text) => (said += text));
    const seen = () => page.evaluate(() => ({ ...globalThis.seen, now: performance.now() }));
    try {
      await page.waitForFunction(() => globalThis.seen.events > 1, undefined, { timeout: 60_000 });
      await pause(WARMUP_S * 1000);
      // Has every task, and little else that would slow down what is measured.
      await browser.startTracing(page, { categories: ["-*", "disabled-by-default-devtools.timeline"] });
      await page.evaluate(() => (globalThis.seen.longest = 0));
      const before = await seen();
      await pause(job.seconds * 1000);
      const after = await seen();
      if (after.failure) throw new Error(after.failure);
      if (producer.exitCode !== null) throw new Error(`the producer ended too early (${producer.exitCode}): ${said.trim()}`);
      // The trace is long, and fetched while nothing else goes on.
      producer.kill();
      const trace = await browser.stopTracing();
      if (job.trace) await writeFile(job.trace, trace);
      const events = after.events - before.events;
      const seconds = (after.now - before.now) / 1000;
      return { events, seconds, longTaskMillis: after.longest, ...longest(JSON.parse(trace.toString()).traceEvents) };
    } finally {
      producer.kill();
      await ended;
    }
  }),
);

function producerArguments() {
  const { connectionString, hub, partition, rate, size, seconds } = job;
  const how = { "connection-string": connectionString, hub, partition, rate, size, seconds: seconds + WARMUP_S + SPARE_S, case: "pace" };
  return Object.entries(how).map(([name, value]) => `--${name}=${value}`);
}

/** The longest task of the page's main thread, and how busy it was. */
function longest(events) {
  const main = mainThread(events);
  const tasks = events.filter((event) => event.name === "RunTask" && event.dur !== undefined && isOf(main, event));
  const all = tasks.length > 0 ? tasks : events.filter((event) => event.name === "ThreadControllerImpl::RunTask" && isOf(main, event));
  if (all.length === 0) throw new Error("the trace has no tasks of the page's main thread");
  const durations = all.map(({ dur = 0 }) => dur / 1000).sort((a, b) => a - b);
  let [start, end, ran, busy] = [Infinity, -Infinity, 0, 0];
  for (const { ts, dur = 0, tdur = 0 } of all) {
    start = Math.min(start, ts);
    end = Math.max(end, ts + dur);
    ran = Math.max(ran, tdur);
    busy += tdur;
  }
  return {
    longestMillis: durations.at(-1),
    /** Of the task that ran longest: without the time when the machine gave its core to something else. */
    longestRunMillis: ran / 1000,
    p99Millis: durations[Math.floor((durations.length - 1) * 0.99)],
    over50: durations.filter((millis) => millis > 50).length,
    tasks: durations.length,
    busy: busy / (end - start),
  };
}

/** The main thread of the renderer that did the most: the page's. */
function mainThread(events) {
  const mains = events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain");
  const work = new Map();
  for (const event of events) {
    if (event.name !== "RunTask" && event.name !== "ThreadControllerImpl::RunTask") continue;
    const key = `${event.pid}/${event.tid}`;
    work.set(key, (work.get(key) ?? 0) + (event.dur ?? 0));
  }
  return mains.sort((a, b) => (work.get(`${b.pid}/${b.tid}`) ?? 0) - (work.get(`${a.pid}/${a.tid}`) ?? 0))[0];
}

function isOf(thread, event) {
  return thread !== undefined && event.pid === thread.pid && event.tid === thread.tid;
}
