// Turns of the event loop, and clocks. They are taken when the module loads: a test that puts other timers into
// their place later does not stop the emulator.

type Immediate = (work: () => void) => unknown;

const immediate = (globalThis as { setImmediate?: Immediate }).setImmediate;
const cancelImmediate = (globalThis as { clearImmediate?: (handle: unknown) => void }).clearImmediate;
const Channel = globalThis.MessageChannel;
const startTimer = globalThis.setTimeout;
const stopTimer = globalThis.clearTimeout;
const performanceClock = globalThis.performance;

/** The longest time that a timer takes, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** The clock that only goes forward, in milliseconds. */
export function now(): number {
  return performanceClock.now();
}

/** Calls one function in tasks of its own, between which the page can do what else it has to do. */
export class Tasks {
  readonly #work: () => void;
  #channel: MessageChannel | undefined;
  #immediate: unknown;
  #timer: Timer | undefined;
  #posted = false;

  constructor(work: () => void) {
    this.#work = () => {
      if (!this.#posted) return;
      this.#posted = false;
      work();
    };
  }

  /** Has the function called once, soon. Asking again before it is called changes nothing. */
  post(): void {
    if (this.#posted) return;
    this.#posted = true;
    if (immediate !== undefined) {
      this.#immediate = immediate(this.#work);
    } else if (Channel !== undefined) {
      // Timers would wait four milliseconds each, and a second in a page that nobody looks at.
      this.#channel ??= this.#open(Channel);
      this.#channel.port2.postMessage(null);
    } else {
      this.#timer = Timer.start(this.#work, 0);
    }
  }

  /** Forgets what was posted and lets go of everything. It may be used again. */
  close(): void {
    this.#posted = false;
    cancelImmediate?.(this.#immediate);
    this.#immediate = undefined;
    this.#timer?.stop();
    this.#channel?.port1.close();
    this.#channel = undefined;
  }

  #open(Channel: typeof MessageChannel): MessageChannel {
    const channel = new Channel();
    channel.port1.onmessage = this.#work;
    return channel;
  }
}

/** A timer. */
export class Timer {
  readonly #handle: ReturnType<typeof startTimer>;

  private constructor(handle: ReturnType<typeof startTimer>) {
    this.#handle = handle;
  }

  static start(work: () => void, delayMs: number): Timer {
    return new Timer(startTimer(work, Math.min(Math.max(Math.ceil(delayMs), 0), LONGEST)));
  }

  stop(): void {
    stopTimer(this.#handle);
  }

  /** Does not keep a process alive, where there are processes. */
  unref(): this {
    (this.#handle as { unref?: () => void }).unref?.();
    (globalThis as { Deno?: { unrefTimer?: (handle: unknown) => void } }).Deno?.unrefTimer?.(this.#handle);
    return this;
  }
}
