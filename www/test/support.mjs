/** Emulators, a browser, and pages that are watched for errors. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const binary = process.env.EVENTHUBS_BIN;
const consoleFolder = process.env.EVENTHUBS_CONSOLE;
const shots = process.env.EVENTHUBS_SHOTS;
if (!binary || !consoleFolder || !shots) {
  throw new Error("EVENTHUBS_BIN, EVENTHUBS_CONSOLE and EVENTHUBS_SHOTS are not set: run `cargo xtask test console`");
}
mkdirSync(shots, { recursive: true });

/** How long anything may take that a test waits for. */
export const DEADLINE = 30_000;

export const KEY = "SAS_KEY_VALUE";

/** A port that was free a moment ago, for emulators that come back on the same one. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "eventhubs-console-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An emulator in a process of its own, with the console at `/`. */
export async function startEmulator(t, ...args) {
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const process_ = spawn(binary, ["emulator", "--json", "--no-tls", "--console", consoleFolder, ...port, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(process_, "exit");
  const stop = async () => {
    if (process_.exitCode !== null || process_.signalCode !== null) return;
    process_.kill("SIGTERM");
    await ended;
  };
  t.after(stop);
  const lines = createInterface({ input: process_.stdout });
  const [line] = await Promise.race([
    once(lines, "line"),
    ended.then(([code]) => Promise.reject(new Error(`the emulator ended with ${code}`))),
  ]);
  const about = JSON.parse(line);
  return { ...about, url: `http://localhost:${about.port}/`, stop };
}

/** Publishes lines with the command line. */
export async function publish(emulator, hub, lines, ...args) {
  const send = spawn(binary, ["send", "-q", "--connection-string", emulator.connectionString, "--event-hub", hub, ...args], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = once(send, "exit");
  send.stdin.end(lines.join("\n") + "\n");
  const [code] = await ended;
  if (code !== 0) throw new Error(`eventhubs send ended with ${code}`);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** What a page may log without being wrong: that a server which was stopped on purpose does not answer. */
const EXPECTED = [/ERR_CONNECTION_REFUSED/, /WebSocket connection to .* failed/];

/** A page of a fresh profile. Any error of it fails the test. */
export async function openPage(t, browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" || EXPECTED.some((known) => known.test(message.text()))) return;
    errors.push(`logged: ${message.text()} (${message.location().url})`);
  });
  t.after(async () => {
    await context.close();
    if (errors.length > 0) throw new Error(`the page had errors:\n${errors.join("\n")}`);
  });
  await page.goto(url);
  return page;
}

/** Connects to the emulator that serves the page. */
export async function connectHere(page, hub) {
  const form = page.getByRole("form", { name: "The emulator that serves this page" });
  await form.waitFor();
  if (hub && (await form.getByRole("combobox").count()) > 0) await form.getByRole("combobox").selectOption(hub);
  await form.getByRole("button", { name: "Connect" }).click();
  await tailRuns(page);
}

/** Connects with a connection string. */
export async function connectWith(page, connectionString, hub, group) {
  const form = page.getByRole("form", { name: "Connection string" });
  await form.getByLabel("Connection string").fill(connectionString);
  await form.getByLabel("Event hub").fill(hub);
  if (group) await form.getByLabel("Consumer group").fill(group);
  await form.getByRole("button", { name: "Connect" }).click();
}

export async function tailRuns(page) {
  await page.getByRole("button", { name: "Pause" }).and(page.locator(":enabled")).waitFor();
}

/** Waits until the list holds so many events. */
export async function listHas(page, count) {
  await page.locator(".tail-foot").getByText(`${grouped(count)} event`).waitFor();
}

/** Waits for what no page shows. */
export async function until(what, holds) {
  for (const end = Date.now() + DEADLINE; Date.now() < end; await new Promise((done) => setTimeout(done, 20))) {
    if (await holds()) return;
  }
  throw new Error(`it did not come to pass within ${DEADLINE} ms that ${what}`);
}

export function grouped(count) {
  return count.toLocaleString("en-GB").replaceAll(",", "\u202f");
}

/** The bodies of all rows, in order, read as a user would: by scrolling from the top to the end. */
export function allBodies(page) {
  return page.evaluate(async () => {
    const list = document.querySelector(".event-list");
    const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const bodies = new Map();
    for (let top = 0; ; top += list.clientHeight - 28) {
      list.scrollTop = top;
      await frame();
      for (const row of list.querySelectorAll(".row:not([hidden])")) {
        bodies.set(Number(row.getAttribute("aria-posinset")), row.querySelector(".cell-body").textContent);
      }
      if (top + list.clientHeight >= list.scrollHeight) break;
    }
    return [...bodies.entries()].sort(([a], [b]) => a - b).map(([, body]) => body);
  });
}

export async function screenshot(page, name) {
  await page.screenshot({ path: join(shots, `${name}.png`) });
}
