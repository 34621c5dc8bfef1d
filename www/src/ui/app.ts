import { computed, effect, signal } from "@preact/signals";
import { type Target, startEmulator } from "../client.ts";
import { readConnectionString, withoutSecret } from "../model/connection-string.ts";
import {
  type Settings,
  browserStorage,
  forgetSecret,
  keepSecret,
  loadSecret,
  loadSettings,
  saveSettings,
} from "../model/settings.ts";
import { type Trouble, trouble } from "../model/words.ts";
import type { Entry } from "../session/entry.ts";
import { Diagnostics } from "../session/diagnostics.ts";
import { Journal } from "../session/journal.ts";
import { Session } from "../session/session.ts";
import { ALL } from "../session/tail.ts";
import { POSITIONS, startPosition } from "./position.ts";

/** What the right-hand side shows. */
export type Pane = "event" | "send";
/** What a narrow screen shows; a wide one shows everything. */
export type View = "hub" | "events" | "side";

/** An event that was chosen, which stays readable when the list has let go of it. */
export interface Selected {
  readonly index: number;
  readonly entry: Entry;
}

/** The state of the page, and what can be done with it. */
export class App {
  readonly settings = signal<Settings>(loadSettings(browserStorage()));
  readonly session = signal<Session | undefined>(undefined);
  readonly connecting = signal<string | undefined>(undefined);
  readonly connectTrouble = signal<Trouble | undefined>(undefined);
  /** What could not be connected to, if it is still there. */
  readonly unreached = signal<{ readonly target: Target; readonly host: string } | undefined>(undefined);
  readonly diagnostics = new Diagnostics();
  readonly journal = new Journal();
  readonly selected = signal<Selected | undefined>(undefined);
  readonly pane = signal<Pane>("send");
  readonly view = signal<View>("events");
  readonly helpOpen = signal(false);
  readonly filter = signal("");
  /** The connection string as it was kept, key included, if the user wanted that. */
  readonly keptSecret = signal<string | undefined>(loadSecret(browserStorage()));
  readonly #dark = matchMedia("(prefers-color-scheme: dark)");
  readonly #systemDark = signal(this.#dark.matches);
  readonly dark = computed(() => {
    const { theme } = this.settings.value;
    return theme === "system" ? this.#systemDark.value : theme === "dark";
  });
  /** Counts attempts to connect, so that one that was given up does not come back. */
  #attempt = 0;

  constructor() {
    this.#dark.addEventListener("change", () => (this.#systemDark.value = this.#dark.matches));
    effect(() => {
      document.documentElement.dataset.theme = this.dark.value ? "dark" : "light";
    });
    effect(() => {
      const session = this.session.value;
      document.title = session ? `${session.target.eventHub} · Event Hubs console` : "Event Hubs console";
    });
    effect(() => saveSettings(browserStorage(), this.settings.value));
  }

  /** Changes some settings, and remembers them. */
  remember(change: Partial<Settings>): void {
    this.settings.value = { ...this.settings.peek(), ...change };
  }

  toggleTheme(): void {
    this.remember({ theme: this.dark.value ? "light" : "dark" });
  }

  /** Connects to what a connection string names. `keepKey`: whether its key may stay in this browser. */
  async connect(connectionString: string, eventHub: string, consumerGroup: string, keepKey: boolean): Promise<void> {
    const text = connectionString.trim();
    const parts = readConnectionString(text);
    const hub = eventHub.trim() || parts?.eventHub || "";
    const group = consumerGroup.trim() || "$Default";
    this.remember({ connection: withoutSecret(text), eventHub: hub, consumerGroup: group });
    if (keepKey) keepSecret(browserStorage(), text);
    else forgetSecret(browserStorage());
    this.keptSecret.value = keepKey ? text : undefined;
    const host = parts?.host ?? "the namespace";
    await this.#open({ connectionString: text, eventHub: hub, consumerGroup: group }, host);
  }

  /** Connects to the emulator that served this page. */
  async connectHere(target: Target, host: string): Promise<void> {
    this.remember({ eventHub: target.eventHub, consumerGroup: target.consumerGroup });
    await this.#open(target, host);
  }

  /** Starts a namespace in this page, and connects to it. */
  async connectInPage(): Promise<void> {
    const attempt = this.#begin("Starting an emulator in this page");
    try {
      const emulator = await startEmulator();
      if (attempt !== this.#attempt) {
        await emulator.stop();
        return;
      }
      const { connectionString } = emulator;
      await this.#open({ connectionString, eventHub: "eh1", consumerGroup: "$Default", emulator }, "this page");
    } catch (error) {
      this.#failed(attempt, error);
    }
  }

  /** Gives up connecting. */
  cancel(): void {
    this.#attempt += 1;
    this.connecting.value = undefined;
  }

  async disconnect(): Promise<void> {
    const session = this.session.value;
    this.session.value = undefined;
    this.selected.value = undefined;
    this.filter.value = "";
    this.pane.value = "send";
    if (!session) return;
    await session.close();
    await session.target.emulator?.stop();
    this.journal.say(`Disconnected from ${session.host}.`);
  }

  /** Starts the tail as the settings say, where a position is one. */
  startTail(value = ""): void {
    const session = this.session.peek();
    const { partition, position } = this.settings.peek();
    if (!session) return;
    const partitions = session.overview.hub.peek()?.partitions ?? [];
    const known = partitions.some(({ id }) => id === partition) ? partition : ALL;
    const start = startPosition(position, value, partitions);
    this.selected.value = undefined;
    session.tail.start({ partition: known, ...start });
  }

  /** Reads another partition from the same place. */
  readPartition(partition: string): void {
    this.remember({ partition });
    const tail = this.session.peek()?.tail;
    const seek = tail?.seek.peek();
    if (!tail || !seek) return;
    this.selected.value = undefined;
    // What was recent when it was chosen is not what is recent now.
    if (this.settings.peek().position === "recent") this.startTail();
    else tail.start({ ...seek, partition });
  }

  /** Chooses an event and shows it. */
  select(index: number, show = true): void {
    const entry = this.session.peek()?.tail.log.get(index);
    if (!entry) return;
    this.selected.value = { index, entry };
    this.pane.value = "event";
    if (show) this.view.value = "side";
  }

  unselect(): void {
    this.selected.value = undefined;
    this.pane.value = "send";
    if (this.view.value === "side") this.view.value = "events";
  }

  async #open(target: Target, host: string): Promise<void> {
    const attempt = this.#begin(`Connecting to ${host}`);
    try {
      const session = await Session.open(target, host, this.journal, this.settings.peek().listLimit);
      if (attempt !== this.#attempt) {
        await session.close();
        return;
      }
      this.connecting.value = undefined;
      this.session.value = session;
      this.view.value = "events";
      // A position that has to be typed belongs to the hub it was typed for.
      if (POSITIONS.find(({ kind }) => kind === this.settings.peek().position)?.needs) this.remember({ position: "latest" });
      this.startTail();
    } catch (error) {
      await target.emulator?.stop();
      this.#failed(attempt, error);
      if (attempt === this.#attempt && !target.emulator) this.unreached.value = { target, host };
    }
  }

  #begin(doing: string): number {
    this.connectTrouble.value = undefined;
    this.unreached.value = undefined;
    this.connecting.value = doing;
    this.#attempt += 1;
    return this.#attempt;
  }

  #failed(attempt: number, error: unknown): void {
    if (attempt !== this.#attempt) return;
    this.connecting.value = undefined;
    this.connectTrouble.value = trouble(error);
  }
}

/** The one page there is. */
export const app = new App();
