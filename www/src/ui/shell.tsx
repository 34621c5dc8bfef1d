import type { JSX } from "preact";
import type { Connection } from "../session/status.ts";
import type { Session } from "../session/session.ts";
import { Composer } from "./composer.tsx";
import { type View, app } from "./app.ts";
import { Connect } from "./connect.tsx";
import { DiagnosisDialog } from "./diagnosis.tsx";
import { EventDetail } from "./event-detail.tsx";
import { Help } from "./help.tsx";
import { HubRail } from "./hub-rail.tsx";
import { Icon, Mark } from "./icons.tsx";
import { TailPanel } from "./tail-panel.tsx";
import { ThemeButton } from "./theme-button.tsx";

/** The whole page. */
export function Shell(): JSX.Element {
  const session = app.session.value;
  return (
    <>
      {session ? <Workbench key={session} session={session} /> : <Connect />}
      <Help />
      <DiagnosisDialog />
    </>
  );
}

function Workbench({ session }: { session: Session }): JSX.Element {
  const view = app.view.value;
  return (
    <div class="workbench" data-view={view}>
      <Header session={session} />
      <main class="panes">
        <HubRail session={session} />
        <TailPanel session={session} />
        <Side session={session} />
      </main>
      <nav class="views" aria-label="Views">
        <ViewButton view="hub" label="Hub" />
        <ViewButton view="events" label="Events" />
        <ViewButton view="side" label={app.pane.value === "event" ? "Event" : "Send"} />
      </nav>
    </div>
  );
}

function ViewButton({ view, label }: { view: View; label: string }): JSX.Element {
  const current = app.view.value === view;
  return (
    <button type="button" aria-current={current ? "page" : undefined} onClick={() => (app.view.value = view)}>
      {label}
    </button>
  );
}

function Header({ session }: { session: Session }): JSX.Element {
  const { target, host } = session;
  return (
    <header class="top">
      <Mark />
      <h1 class="crumbs">
        <span class="sr-only">Event Hubs console: </span>
        <span class="crumb-host">{host}</span>
        <span class="crumb-line" aria-hidden="true">
          /
        </span>
        <strong>{session.overview.hub.value?.name ?? target.eventHub}</strong>
        <span class="crumb-group" title="Consumer group">
          {target.consumerGroup}
        </span>
      </h1>
      <StatusPill connection={session.status.connection.value} />
      <span class="grow" />
      <ThemeButton />
      <button
        type="button"
        class="icon-button"
        aria-label="Help and keyboard shortcuts"
        title="Help and keyboard shortcuts (?)"
        onClick={() => (app.helpOpen.value = true)}
      >
        <Icon name="help" />
      </button>
      <button type="button" class="quiet leave" aria-label="Disconnect" onClick={() => void app.disconnect()}>
        <Icon name="leave" /> <span class="leave-text">Disconnect</span>
      </button>
    </header>
  );
}

function StatusPill({ connection }: { connection: Connection }): JSX.Element {
  const [tone, text] = said(connection);
  return (
    <p class={`pill ${tone}`} role="status" aria-live="polite">
      <span class={`dot ${tone}`} aria-hidden="true" />
      {text}
    </p>
  );
}

function said(connection: Connection): readonly [tone: string, text: string] {
  switch (connection.state) {
    case "connecting":
      return ["busy", connection.attempt > 1 ? `Connecting, attempt ${connection.attempt}` : "Connecting"];
    case "connected":
      return ["good", "Connected"];
    case "reconnecting":
      return ["bad", connection.attempt > 1 ? `Reconnecting, attempt ${connection.attempt}` : "Reconnecting"];
    case "idle":
      return ["", "Idle"];
    case "closed":
      return ["", "Disconnected"];
  }
}

function Side({ session }: { session: Session }): JSX.Element {
  const pane = app.pane.value;
  const selected = app.selected.value;
  return (
    <aside class="side" aria-label="Event and composer">
      <div class="tabs" role="tablist" aria-label="Event or composer" onKeyDown={switchTab}>
        <button
          type="button"
          role="tab"
          id="tab-event"
          aria-selected={pane === "event"}
          aria-controls="panel-side"
          tabIndex={pane === "event" ? 0 : -1}
          onClick={() => (app.pane.value = "event")}
        >
          Event
        </button>
        <button
          type="button"
          role="tab"
          id="tab-send"
          aria-selected={pane === "send"}
          aria-controls="panel-side"
          tabIndex={pane === "send" ? 0 : -1}
          onClick={() => (app.pane.value = "send")}
        >
          Send{session.sender.repeating.value && <span class="dot good pulse" title="Repeating" />}
        </button>
      </div>
      <div id="panel-side" role="tabpanel" aria-labelledby={`tab-${pane}`} class="side-panel">
        <div hidden={pane !== "event"} class="side-content">
          {selected ? <EventDetail key={selected.index} selected={selected} /> : <NoEvent />}
        </div>
        <div hidden={pane !== "send"} class="side-content">
          <Composer session={session} />
        </div>
      </div>
    </aside>
  );
}

function switchTab(event: KeyboardEvent): void {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  app.pane.value = app.pane.value === "event" ? "send" : "event";
  document.getElementById(`tab-${app.pane.value}`)?.focus();
}

function NoEvent(): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">No event chosen</p>
      <p>Choose one in the list to see its body, its properties and every section of its AMQP message.</p>
    </div>
  );
}
