// What a client knows that works while the emulator goes away and comes back; see `cargo xtask outage`, which starts clients
// of several kinds beside each other. The same in Node and in a page. client.rs and sdk.py keep the same books.
//
// A client says `ready` when it works, `working` when it does so again, and at its end `ledger` with its books in JSON.
// It is told `back` when the emulator is there again, and `stop`.

/** Between two events, in milliseconds. */
export const PACE = 20;
/** Events that were acknowledged and received when a client is ready. */
const READY = 20;
/** Without an event for so long, what is missing does not come any more. */
const QUIET = 5000;

export const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

export class Ledger {
  #say;
  #sent = 0;
  #failed = 0;
  #unknown = 0;
  /** By number, when. */
  #acknowledged = new Map();
  /** By number, under which sequence numbers. */
  #received = new Map();
  #lastReceived;
  #longestSilence = 0;
  #back;
  #firstAcknowledged;
  #firstReceived;
  #told = {};
  #saidReady = false;
  #saidWorking = false;
  isStopping = false;

  /** @param say takes a line */
  constructor(say) {
    this.#say = say;
  }

  /** What the director says. */
  order(word) {
    if (word === "back") this.#back = performance.now();
    if (word === "stop") this.isStopping = true;
  }

  /** Something that the client's user was told. */
  tell(what) {
    this.#told[what] = (this.#told[what] ?? 0) + 1;
  }

  /** Sends until it is stopped. `send` takes a number; `judge` makes `[code, whether it may have been stored]` of an error. */
  async write(send, judge) {
    for (let number = 0; !this.isStopping; number++) {
      this.#sent += 1;
      try {
        await send(number);
        this.#acknowledged.set(number, performance.now());
        if (this.#back !== undefined) this.#firstAcknowledged ??= performance.now() - this.#back;
        this.#check();
      } catch (error) {
        const [code, isUnknown] = judge(error);
        if (isUnknown) this.#unknown += 1;
        else this.#failed += 1;
        this.tell(`send: ${code}`);
      }
      await sleep(PACE);
    }
  }

  /** An event arrived. */
  receive(number, sequenceNumber) {
    const now = performance.now();
    if (!this.#received.has(number)) this.#received.set(number, []);
    this.#received.get(number).push(sequenceNumber);
    if (this.#lastReceived !== undefined) this.#longestSilence = Math.max(this.#longestSilence, now - this.#lastReceived);
    this.#lastReceived = now;
    if (this.#back !== undefined) this.#firstReceived ??= now - this.#back;
    this.#check();
  }

  /** Waits until everything that was acknowledged has arrived, or nothing more comes; says what came of it. */
  async end() {
    const stopped = performance.now();
    const isComplete = () => [...this.#acknowledged.keys()].every((number) => this.#received.has(number));
    while (!isComplete() && performance.now() - Math.max(stopped, this.#lastReceived ?? 0) < QUIET) await sleep(100);
    this.#say(`ledger ${JSON.stringify(this.#report())}`);
  }

  #check() {
    if (!this.#saidReady && this.#acknowledged.size >= READY && this.#received.size >= READY) {
      this.#saidReady = true;
      this.#say("ready");
    }
    if (!this.#saidWorking && this.#firstAcknowledged !== undefined && this.#firstReceived !== undefined) {
      this.#saidWorking = true;
      this.#say("working");
    }
  }

  #report() {
    const missing = [...this.#acknowledged].filter(([number]) => !this.#received.has(number));
    const isAfter = ([, at]) => this.#back !== undefined && at >= this.#back;
    const all = [...this.#received.values()];
    const whole = (time) => (time === undefined ? null : Math.round(time));
    return {
      sent: this.#sent,
      acknowledged: this.#acknowledged.size,
      failed: this.#failed,
      unknown: this.#unknown,
      received: this.#received.size,
      missingBefore: missing.filter((entry) => !isAfter(entry)).length,
      missingAfter: missing.filter(isAfter).length,
      repeated: all.reduce((sum, numbers) => sum + numbers.length - new Set(numbers).size, 0),
      storedTwice: all.reduce((sum, numbers) => sum + new Set(numbers).size - 1, 0),
      longestSilenceMs: whole(this.#longestSilence),
      firstAcknowledgedMs: whole(this.#firstAcknowledged),
      firstReceivedMs: whole(this.#firstReceived),
      told: this.#told,
    };
  }
}
