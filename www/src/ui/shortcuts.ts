import { app } from "./app.ts";
import { listHandle } from "./tail-panel.tsx";

/** What the keys do, as the help lists it. */
export const SHORTCUTS: readonly { readonly keys: readonly string[]; readonly does: string }[] = [
  { keys: ["space"], does: "pause, resume" },
  { keys: ["/"], does: "filter" },
  { keys: ["j", "k"], does: "next, previous event" },
  { keys: ["g"], does: "to the newest event, and follow" },
  { keys: ["s"], does: "choose where to read from" },
  { keys: ["c"], does: "compose an event" },
  { keys: ["Ctrl", "Enter"], does: "send what is composed" },
  { keys: ["Esc"], does: "close the event, leave a field" },
  { keys: ["t"], does: "light or dark" },
  { keys: ["?"], does: "this help" },
];

/** Listens for the keys above, everywhere but where they are typed. */
export function listenForShortcuts(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    // As the page has it: the dialog tells some time later that it was closed.
    if (document.querySelector("dialog[open]")) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (event.key === "Escape") return escape(target);
    const switches = target.matches("input[type=radio], input[type=checkbox]");
    if (!switches && target.matches("input, textarea, select")) return;
    // The space bar belongs to what has the focus and can be pressed.
    if (event.key === " " && (switches || target.matches("button"))) return;
    if (run(event.key)) event.preventDefault();
  });
}

function run(key: string): boolean {
  if (key === "?") app.helpOpen.value = true;
  else if (key === "t") app.toggleTheme();
  else return app.session.peek() !== undefined && runInSession(key);
  return true;
}

function runInSession(key: string): boolean {
  const tail = app.session.peek()?.tail;
  switch (key) {
    case " ":
      if (tail?.state.peek() === "paused") tail.resume();
      else tail?.pause();
      return true;
    case "/":
      return focus("filter", "events");
    case "s":
      return focus("seek-position", "events");
    case "c":
      app.pane.value = "send";
      return focus("composer-body", "side");
    case "j":
      listHandle.current?.step(1);
      return true;
    case "k":
      listHandle.current?.step(-1);
      return true;
    case "g":
      listHandle.current?.follow();
      return true;
    default:
      return false;
  }
}

function focus(id: string, view: "events" | "side"): boolean {
  app.view.value = view;
  // What was hidden can only be focused once it is drawn.
  requestAnimationFrame(() => document.getElementById(id)?.focus());
  return true;
}

function escape(target: HTMLElement): void {
  if (target.matches("input:not([type=radio]), textarea, select")) target.blur();
  else if (app.selected.peek()) {
    app.unselect();
    listHandle.current?.focus();
  }
}
