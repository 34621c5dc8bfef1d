// Finds out what works on the way to a hub: one thing after the other, each with a verdict and what to do about it. Says what
// src/client/diagnosis.rs says of native clients, where there is more to see than a page is told.
//
// The way to an open socket is tried by itself. What lies behind it is tried with a client like any other, which makes one attempt at
// everything and says by its statuses how far it came.

import type { Check, CheckName, Diagnosis, Verdict } from "../diagnosis.js";
import { EventHubsError } from "../error.js";
import type { Hub } from "../wasm/eventhubs.js";
import { encoded } from "./amqp.js";
import { call, raced, toError, toldBy } from "./call.js";
import { within } from "./pause.js";
import { randomName } from "./random-name.js";
import { connect, type Hooks, type Target } from "./settings.js";
import { now } from "./tasks.js";

const NAMES: readonly CheckName[] = ["dns", "socket", "tls", "websocket", "sasl", "cbs", "entity", "rights", "clock"];
/** All of it takes no longer. */
const TOTAL_MS = 28_000;
/** The way to an open socket takes no longer. */
const DIAL_MS = 12_000;
/** One answer of the service takes no longer. */
const STEP_MS = 6000;
/** A clock that is wrong by more will meet trouble with tokens. */
const SKEW = 300;
const NO_HUB = "Check the event hub's name, and that it belongs to this namespace.";
/** There is no such partition: the service refuses the question, and says what time it is. */
const NO_PARTITION = "diagnosis";
const REFUSED = "the token was refused";
const MISSING = "there is no such event hub";

/** What is known of a call: what it failed with, or that it did not. */
interface Outcome<T> {
  readonly value?: T;
  readonly error?: EventHubsError;
}

/** Takes no longer than `timeoutMs`: what is not known by then is not reached. */
export async function diagnose(
  target: Target,
  hooks: Hooks,
  sends: boolean,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Diagnosis> {
  const hub = await connect(target, hooks, {
    // Its own, so that the service's logs tell it from the client that is being looked at.
    ...{ identifier: randomName(), connectTimeoutMs: STEP_MS, attemptTimeoutMs: STEP_MS, totalDeadlineMs: STEP_MS },
    ...{ maxAttempts: 1, baseDelayMs: undefined, maxDelayMs: undefined, jitter: undefined, idempotent: undefined, publishingState: undefined },
  });
  const report = new Report();
  const end = new AbortController();
  try {
    const work = within(Math.min(TOTAL_MS, timeoutMs), look(hub, target, sends, report, end.signal));
    if ((await raced(work, signal)) === undefined) {
      const hint = "Something on the way swallows what is sent: a firewall, a proxy, or an overloaded service.";
      report.put("failed", "the time was over", hint);
    }
  } finally {
    end.abort();
    void hub.close();
  }
  while (report.checks.length < NAMES.length) report.skip("not reached");
  const { checks } = report;
  return { endpoint: hub.endpoint, eventHub: target.eventHub, checks, isOk: checks.every(({ verdict }) => verdict !== "failed") };
}

async function look(hub: Hub, target: Target, sends: boolean, report: Report, signal: AbortSignal): Promise<void> {
  const { namespace, eventHub, connectTimeoutMs } = target;
  for (let unseen = 0; unseen < 3; unseen++) report.skip("pages and JavaScript's runtimes are told of WebSockets only");
  const limit = Math.min(connectTimeoutMs ?? DIAL_MS, DIAL_MS);
  const dialled = await within(limit, outcome(call<void>(signal, (ticket) => hub.probe(ticket))));
  if (dialled === undefined || dialled.value.error !== undefined) {
    const why = dialled === undefined ? `no answer within ${Math.trunc(limit / 1000)} s` : text(dialled.value.error);
    const hint =
      "Check the address and that the server runs. A page also needs the address in its policy's connect-src, and wss:// when it is https.";
    return report.put("failed", why, hint);
  }
  report.put("ok", "the server speaks AMQP over WebSockets");
  const statuses = hub.status();
  const properties = await outcome(call<[string, number, string[]]>(signal, (ticket) => hub.hubProperties(ticket)));
  let isConnected = false;
  let token: Outcome<string> | undefined;
  for (;;) {
    // What has been told lies ready; nothing else is waited for.
    const told = await within(0, call<[string, string, unknown, number, unknown] | undefined>(signal, (ticket) => statuses.next(ticket)));
    if (told?.value === undefined) break;
    const [type, , , millis, cause] = told.value;
    isConnected ||= type === "connected";
    if (type === "token-refreshed") token = { value: new Date(millis).toISOString() };
    if (type === "token-refresh-failed") token = { error: toError(cause) as EventHubsError };
  }
  if (!isConnected) {
    const hint = "Something other than Event Hubs answers there, or it is overloaded: check host, port and path.";
    return report.put("failed", text(properties.error), hint);
  }
  report.put("ok", "the service has opened an AMQP connection");
  if (token === undefined) {
    const hint = "The service answers no request for authorization: try again, and look at Azure's status page.";
    return report.put("failed", text(properties.error), hint);
  }
  if (token.error !== undefined) {
    if (token.error.code === "not-found") {
      report.skip("the service looks at no token for a hub that it does not have");
      report.put("failed", text(token.error), NO_HUB);
      report.skip(MISSING);
    } else {
      report.put("failed", text(token.error), tokenHint(token.error));
      report.skip(REFUSED);
      report.skip(REFUSED);
    }
    return report.lookAtClock(token.error);
  }
  report.put("ok", `the token for 'sb://${namespace.toLowerCase()}/${eventHub}' is taken, until ${token.value}`);
  const missing = properties.error?.code === "not-found";
  if (properties.value !== undefined) {
    const [name, , ids] = properties.value;
    report.put("ok", `'${name}' has ${ids.length} partitions`);
  } else if (missing) {
    report.put("failed", text(properties.error), NO_HUB);
    report.skip(MISSING);
  } else {
    // A key that may only send may not read properties either.
    const hint = "Reading properties needs the right 'Listen'; whether the event hub is there shows below.";
    report.put("warning", text(properties.error), hint);
  }
  if (!missing) await lookAtRights(hub, sends, properties.value?.[2][0] ?? "0", report, signal);
  const refused = await outcome(call(signal, (ticket) => hub.partitionProperties(NO_PARTITION, ticket)));
  report.lookAtClock(refused.error);
}

async function lookAtRights(hub: Hub, sends: boolean, partition: string, report: Report, signal: AbortSignal): Promise<void> {
  const send = await outcome(call(signal, (ticket) => hub.createBatch(undefined, undefined, undefined, false, ticket)));
  // Nothing is taken: there is nothing yet behind this moment, and a place that needs no question.
  const reading = encoded([undefined, false, 1, 1, [undefined, undefined, Date.now()], partition]);
  const listen = await outcome(call(signal, (ticket) => hub.open(reading, ticket)));
  const said = (what: string, { error }: Outcome<unknown>): string => `${what}: ${error === undefined ? "yes" : `no (${text(error)})`}`;
  const detail = `${said("send", send)}; ${said("listen", listen)}`;
  const needed = sends ? send.error : listen.error;
  switch (needed?.code) {
    case undefined:
      return report.put("ok", detail);
    case "unauthorized":
      return report.put("failed", detail, "Give the policy or identity the right that is missing: 'Send' to send, 'Listen' to receive.");
    case "not-found":
      return report.put("failed", detail, "Check the event hub's and the consumer group's name.");
    // Others have the partition at present; the right is there.
    case "ownership-lost":
    case "quota-exceeded": {
      const hint = "The right is there, but other readers have the partition: use another consumer group, or an owner level.";
      return report.put("warning", detail, hint);
    }
    default:
      return report.put("failed", detail, "It did not come to that: try again, and look at what the client's status says.");
  }
}

/** What was found so far; the checks come in the order of `NAMES`. */
class Report {
  readonly checks: Check[] = [];
  /** When the present check began. */
  #since = now();

  put(verdict: Verdict, detail: string, hint?: string): void {
    const tookMs = Math.ceil(now() - this.#since);
    this.#since = now();
    const name = NAMES[this.checks.length];
    if (name !== undefined) this.checks.push({ name, verdict, detail, hint, tookMs });
  }

  skip(why: string): void {
    this.put("skipped", why);
  }

  /** Compares the clocks, where the service's is known from what it said. */
  lookAtClock(error: EventHubsError | undefined): void {
    // A time in UTC without saying so, in whole seconds.
    const there = Date.parse(`${toldBy(error)?.saidAt?.slice(0, 19)}Z`);
    if (Number.isNaN(there)) return this.skip("the service did not say what time it is");
    // What the service says is as old as its answer took.
    const ahead = Math.floor(Date.now() / 1000) - there / 1000;
    const far = Math.abs(ahead);
    const detail =
      far <= 2 ? "the clocks agree" : `this machine's clock is ${far} s ${ahead > 0 ? "ahead of" : "behind"} the service's`;
    if (far <= SKEW) return this.put("ok", detail);
    this.put("warning", detail, "Set this machine's clock: tokens made here seem expired, or last too long, to the service.");
  }
}

async function outcome<T>(work: Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work };
  } catch (error) {
    return { error: error instanceof EventHubsError ? error : new EventHubsError("internal", String((error as Error | undefined)?.message ?? error)) };
  }
}

/** What an error says, without what was attempted. */
function text(error: EventHubsError | undefined): string {
  return toldBy(error)?.text ?? error?.message ?? "";
}

function tokenHint({ code }: EventHubsError): string {
  if (code === "timeout") return "Nothing came back in time: check the token provider.";
  if (code === "unauthorized") {
    return "Check key name and key, or the token: that it is for this namespace and has not expired. See the clock below.";
  }
  return "Try again; if it stays, look at Azure's status page.";
}
