import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { count } from "../model/format.ts";
import { app } from "./app.ts";
import { Icon } from "./icons.tsx";
import { SHORTCUTS } from "./shortcuts.ts";

const LIMITS = [10_000, 50_000, 100_000, 250_000] as const;

/** Shortcuts, the words of the filter, and the few settings. */
export function Help(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = app.helpOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const { theme, listLimit } = app.settings.value;
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-labelledby="help-title"
      onClose={() => (app.helpOpen.value = false)}
      onClick={(event) => {
        if (event.target === dialog.current) app.helpOpen.value = false;
      }}
    >
      <div class="help-inner">
        <header>
          <h2 id="help-title">Keyboard and settings</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick={() => (app.helpOpen.value = false)}>
            <Icon name="close" />
          </button>
        </header>
        <dl class="keys">
          {SHORTCUTS.map(({ keys, does }) => (
            <div key={does}>
              <dt>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <h3>Filter</h3>
        <p class="hint">
          All words must match. <code>word</code> or <code>"two words"</code> in body or key; <code>key:abc</code>,{" "}
          <code>partition:2</code>, <code>seq:1200</code>; <code>name:value</code> for a property; <code>-</code> in front turns
          a word round.
        </p>
        <h3>Settings</h3>
        <div class="field-row">
          <div class="field">
            <label for="setting-theme">Colours</label>
            <select
              id="setting-theme"
              value={theme}
              onChange={(event) => app.remember({ theme: event.currentTarget.value as typeof theme })}
            >
              <option value="system">as the system</option>
              <option value="light">light</option>
              <option value="dark">dark</option>
            </select>
          </div>
          <div class="field">
            <label for="setting-limit">The list keeps</label>
            <select
              id="setting-limit"
              value={listLimit}
              onChange={(event) => {
                const limit = Number(event.currentTarget.value);
                app.remember({ listLimit: limit });
                app.session.peek()?.tail.setLimit(limit);
              }}
            >
              {LIMITS.map((limit) => (
                <option key={limit} value={limit}>
                  {count(limit)} events
                </option>
              ))}
            </select>
          </div>
        </div>
        <p class="hint">
          The list keeps 256 MB at most, too; older events leave the list, never the hub. Settings are remembered in this
          browser; keys only when you say so as you connect.
        </p>
      </div>
    </dialog>
  );
}
