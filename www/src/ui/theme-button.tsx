import type { JSX } from "preact";
import { app } from "./app.ts";
import { Icon } from "./icons.tsx";

export function ThemeButton(): JSX.Element {
  const other = app.dark.value ? "light" : "dark";
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Switch to ${other} colours`}
      title={`Switch to ${other} colours (t)`}
      onClick={() => app.toggleTheme()}
    >
      <Icon name={app.dark.value ? "sun" : "moon"} />
    </button>
  );
}
