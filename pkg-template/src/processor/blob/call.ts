// One request to storage: signed, tried again while that can help, and over by its deadline. As src/checkpoint/native/blob/call.rs.

import { type ErrorCode, EventHubsError } from "../../error.js";
import { pause } from "../../internal/pause.js";
import { now, Timer } from "../../internal/tasks.js";
import type { RetryOptions } from "../../options.js";
import type { StoreOptions } from "../checkpoint.js";
import { type Access, type Container, named } from "./container.js";
import { authorization } from "./sign.js";

/** Old enough for every storage and emulator of it, new enough to encode odd names in listings. */
const VERSION = "2021-12-02";
/** What tokens for storage are asked for. */
const AUDIENCE = "https://storage.azure.com/";
/** Tokens are renewed so long before they end. */
const RENEW_BEFORE_MS = 300_000;

/** What is asked of the container, or of one of its blobs. */
export interface Call {
  readonly method: "GET" | "HEAD" | "PUT";
  /** Undefined for the container itself. */
  readonly blob?: string;
  readonly query?: readonly (readonly [string, string])[];
  readonly headers?: Readonly<Record<string, string>>;
  /** The codes of answers that are answers, besides success. */
  readonly expected?: readonly string[];
}

/** An answer. */
export interface Answered {
  readonly headers: Headers;
  readonly body: string;
  /** Which of the expected codes it has; undefined for success. */
  readonly code: string | undefined;
  /** Whether an earlier attempt may have been carried out without an answer. */
  readonly mayBeSecond: boolean;
}

/** How long an operation may take, and what gives up on it. */
export interface Limits {
  readonly until: number;
  readonly signal: StoreOptions["abortSignal"];
}

/** An attempt that failed. */
class Failed {
  constructor(
    readonly error: EventHubsError,
    /** Whether it may have been carried out. */
    readonly isAmbiguous: boolean,
  ) {}
}

type Fetch = typeof globalThis.fetch;
type Retry = { readonly [Name in keyof RetryOptions]-?: number };

export class Caller {
  readonly container: Container;
  readonly #access: Access;
  readonly #retry: Retry;
  readonly #fetch: Fetch;
  #token: { text: string; endsAt: number } | undefined;
  #asking: Promise<string> | undefined;

  constructor(container: Container, access: Access, retry: Retry, fetch: Fetch | undefined) {
    this.container = container;
    this.#access = access;
    this.#retry = retry;
    // Browsers call it on nothing but the window.
    this.#fetch = fetch ?? ((...given) => globalThis.fetch(...given));
  }

  /** For one operation, from now on. */
  limits(options: StoreOptions | undefined): Limits {
    return { until: now() + this.#retry.totalDeadlineMs, signal: options?.abortSignal };
  }

  async call(call: Call, limits: Limits): Promise<Answered> {
    let mayBeSecond = false;
    for (let attempts = 1; ; attempts++) {
      const outcome = await this.#attempt(call, limits);
      if (!(outcome instanceof Failed)) return { ...outcome, mayBeSecond };
      const { error, isAmbiguous } = outcome;
      mayBeSecond ||= isAmbiguous;
      const { maxAttempts, baseDelayMs, maxDelayMs, jitter } = this.#retry;
      const wait = Math.min(baseDelayMs * 2 ** (attempts - 1), maxDelayMs) * (1 + jitter * (2 * Math.random() - 1));
      if (!error.retryable || attempts >= maxAttempts || limits.signal?.aborted || now() + wait >= limits.until) throw error;
      await pause(wait);
    }
  }

  async #attempt(call: Call, limits: Limits): Promise<Omit<Answered, "mayBeSecond"> | Failed> {
    if (limits.signal?.aborted) return new Failed(this.#error("timeout", "was given up on", false), false);
    const controller = new AbortController();
    const giveUp = (): void => controller.abort();
    const left = Math.min(limits.until - now(), this.#retry.attemptTimeoutMs);
    const timer = Timer.start(giveUp, left);
    limits.signal?.addEventListener("abort", giveUp);
    let isSent = false;
    try {
      const { target, headers } = await this.#request(call);
      isSent = true;
      const how: RequestInit = { method: call.method, headers, signal: controller.signal, cache: "no-store", credentials: "omit" };
      const response = await this.#fetch(this.container.origin + target, how);
      const body = await response.text();
      return this.#judged(call, response, body);
    } catch (thrown) {
      if (thrown instanceof EventHubsError) return new Failed(thrown, false);
      if (controller.signal.aborted) return new Failed(this.#error("timeout", `did not answer within ${(left / 1000).toFixed(1)} s`, true), isSent);
      // In a page that is all that is said, whether there is no network or no leave (CORS).
      const why = `cannot be reached: ${String((thrown as Error | undefined)?.message ?? thrown)}`;
      return new Failed(this.#error("connect-failed", why, true, { cause: thrown }), isSent);
    } finally {
      timer.stop();
      limits.signal?.removeEventListener("abort", giveUp);
    }
  }

  #judged({ expected = [] }: Call, response: Response, body: string): Omit<Answered, "mayBeSecond"> | Failed {
    const { status, headers } = response;
    if (response.ok) return { headers, body, code: undefined };
    const code = headers.get("x-ms-error-code") ?? /<Code>([^<]{1,80})<\/Code>/.exec(body)?.[1] ?? "";
    const known = expected.find((each) => isCode(status, code, each));
    if (known !== undefined) return { headers, body, code: known };
    if (status === 401) this.#token = undefined;
    return new Failed(this.#refused(status, code, headers.get("x-ms-request-id")), status >= 500);
  }

  async #request(call: Call): Promise<{ target: string; headers: Record<string, string> }> {
    const { method, blob, query = [] } = call;
    const path = blob === undefined ? this.container.path : `${this.container.path}/${blob.split("/").map(percent).join("/")}`;
    const headers: Record<string, string> = { ...call.headers, "x-ms-version": VERSION, "x-ms-date": new Date().toUTCString() };
    const parts = query.map(([name, value]) => `${name}=${percent(value)}`);
    const access = this.#access;
    if (access.kind === "sas") parts.push(access.query);
    else if (access.kind === "key") headers["authorization"] = await authorization({ method, path, query, headers }, access.account, access.key);
    else headers["authorization"] = `Bearer ${await this.#bearer(access.credential)}`;
    return { target: parts.length === 0 ? path : `${path}?${parts.join("&")}`, headers };
  }

  #bearer(credential: (Access & { kind: "token" })["credential"]): Promise<string> {
    const known = this.#token;
    if (known !== undefined && known.endsAt - Date.now() > RENEW_BEFORE_MS) return Promise.resolve(known.text);
    // Who comes meanwhile waits for the same token.
    this.#asking ??= this.#ask(credential).finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask(credential: (Access & { kind: "token" })["credential"]): Promise<string> {
    let given: { token: string; expiresOnTimestamp: number };
    try {
      given = await tokenOf(credential);
    } catch (error) {
      if (this.#token !== undefined && this.#token.endsAt > Date.now()) return this.#token.text;
      const why = `the credential failed: ${String((error as Error | undefined)?.message ?? error)}`;
      throw new EventHubsError("unauthorized", why, { retryable: true, cause: error });
    }
    if (typeof given?.token !== "string" || !/^[!-~]+$/.test(given.token)) {
      throw new EventHubsError("unauthorized", "the credential gave a token for storage that cannot be sent: it is no JWT");
    }
    this.#token = { text: given.token, endsAt: given.expiresOnTimestamp };
    return given.token;
  }

  #refused(status: number, code: string, trackingId: string | null): EventHubsError {
    const [kind, canPass]: [ErrorCode, boolean] =
      status === 401
        ? ["unauthorized", this.#access.kind === "token"]
        : status === 403
          ? ["unauthorized", false]
          : status === 404
            ? ["not-found", false]
            : status === 408
              ? ["timeout", true]
              : status === 429 || status === 503
                ? ["server-busy", true]
                : status >= 500
                  ? ["internal", true]
                  : code === "ContainerBeingDeleted"
                    ? ["not-found", true]
                    : ["rejected", false];
    const why = `answered ${status}${code === "" ? "" : ` ${code}`}${HINTS[code] ?? ""}`;
    return this.#error(kind, why, canPass, { condition: code || undefined, trackingId: trackingId ?? undefined });
  }

  #error(code: ErrorCode, why: string, retryable: boolean, more: object = {}): EventHubsError {
    return new EventHubsError(code, `the storage at ${named(this.container)} ${why}`, { retryable, entity: named(this.container), ...more });
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ContainerNotFound: "; make the container, or call createContainer()",
  AuthenticationFailed: "; key, signature or this machine's clock may be wrong",
  AuthorizationPermissionMismatch: "; the role 'Storage Blob Data Contributor' is needed",
};

/** Answers to HEAD have no room for a code everywhere, so their status has to do. */
function isCode(status: number, code: string, expected: string): boolean {
  const usual = expected === "ConditionNotMet" ? 412 : /AlreadyExists$/.test(expected) ? 409 : 404;
  return status === usual && (code === expected || code === "");
}

async function tokenOf(credential: (Access & { kind: "token" })["credential"]): Promise<{ token: string; expiresOnTimestamp: number }> {
  if (typeof credential !== "function") {
    const given = await credential.getToken(`${AUDIENCE}.default`);
    if (given === null) throw new Error("it gave no token");
    return given;
  }
  const given = await credential(AUDIENCE);
  // One that does not say when it ends is asked for each time.
  return typeof given === "string" ? { token: given, expiresOnTimestamp: 0 } : { token: given.token, expiresOnTimestamp: Number(given.expiresOn) };
}

/** All but letters, digits, hyphens, underscores, full stops and tildes. */
function percent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
