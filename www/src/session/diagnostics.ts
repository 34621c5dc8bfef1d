import { signal } from "@preact/signals";
import { type Diagnosis, type Target, clientsOf } from "../client.ts";
import { type Trouble, trouble } from "../model/words.ts";

/** What is looked into, and what was found. */
export interface Case {
  readonly target: Target;
  readonly host: string;
  readonly found?: Diagnosis;
  /** Why nothing was found. */
  readonly trouble?: Trouble;
}

/** Finds out what works on the way to a hub, with clients of its own: there may be no session, or one that is in trouble. */
export class Diagnostics {
  readonly case = signal<Case | undefined>(undefined);
  readonly running = signal(false);
  #stop = new AbortController();

  async run(target: Target, host: string): Promise<void> {
    this.#stop.abort();
    const stop = new AbortController();
    this.#stop = stop;
    this.case.value = { target, host };
    this.running.value = true;
    let outcome: Case = { target, host };
    try {
      outcome = { target, host, found: await diagnosed(target, stop.signal) };
    } catch (error) {
      outcome = { target, host, trouble: trouble(error) };
    }
    if (stop.signal.aborted) return;
    this.case.value = outcome;
    this.running.value = false;
  }

  close(): void {
    this.#stop.abort();
    this.running.value = false;
    this.case.value = undefined;
  }
}

async function diagnosed(target: Target, signal: AbortSignal): Promise<Diagnosis> {
  const clients = clientsOf(target);
  try {
    return await clients.consumer.diagnose({ signal });
  } finally {
    await clients.close();
  }
}
