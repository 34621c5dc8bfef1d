import { useEffect, useState } from "preact/hooks";
import type { JSX, TargetedEvent } from "preact";
import { readConnectionString } from "../model/connection-string.ts";
import { plural } from "../model/format.ts";
import { app } from "./app.ts";
import { DiagnoseButton } from "./diagnosis.tsx";
import { type Here, findEmulator, targetHere } from "./here.ts";
import { Icon, Mark } from "./icons.tsx";
import { ThemeButton } from "./theme-button.tsx";
import { TroubleBox } from "./trouble-box.tsx";

/** The first screen: where to connect to. */
export function Connect(): JSX.Element {
  const [here, setHere] = useState<Here | undefined>();
  useEffect(() => {
    void findEmulator().then(setHere);
  }, []);
  const connecting = app.connecting.value;
  const trouble = app.connectTrouble.value;
  const unreached = app.unreached.value;
  return (
    <div class="connect-page">
      <div class="connect-corner">
        <ThemeButton />
      </div>
      <main class="connect" aria-busy={connecting !== undefined}>
        <header class="connect-head">
          <Mark />
          <h1>Event Hubs console</h1>
          <p>Watch, read and send events, from this page straight to the namespace.</p>
        </header>
        {here && <HereCard here={here} />}
        <ConnectionForm />
        <p class="status-line" role="status">
          {connecting && (
            <>
              <span class="spinner" aria-hidden="true" /> {connecting}…
            </>
          )}
        </p>
        {connecting && (
          <button type="button" class="quiet" onClick={() => app.cancel()}>
            Cancel
          </button>
        )}
        {trouble && (
          <div ref={(box) => box?.scrollIntoView({ block: "nearest" })}>
            <TroubleBox trouble={trouble}>{unreached && <DiagnoseButton {...unreached} />}</TroubleBox>
          </div>
        )}
        <section class="in-page" aria-labelledby="in-page-title">
          <div>
            <h2 id="in-page-title">Nothing to connect to?</h2>
            <p>Start an emulator inside this page. It needs no server and is gone with the tab.</p>
          </div>
          <button type="button" disabled={connecting !== undefined} onClick={() => void app.connectInPage()}>
            <Icon name="play" /> Start in this page
          </button>
        </section>
      </main>
    </div>
  );
}

function HereCard({ here }: { here: Here }): JSX.Element {
  const remembered = app.settings.peek().eventHub;
  const [hub, setHub] = useState(here.hubs.some(({ name }) => name === remembered) ? remembered : (here.hubs[0]?.name ?? ""));
  const target = targetHere(here, hub);
  if (!target) {
    return (
      <section class="card here" aria-label="The emulator that serves this page">
        <p>
          The emulator at <strong>{here.host}</strong> serves this page. It has keys of its own: enter a connection string
          with one of them.
        </p>
      </section>
    );
  }
  return (
    <form
      class="card here"
      aria-label="The emulator that serves this page"
      onSubmit={(event) => {
        event.preventDefault();
        void app.connectHere(target, here.host);
      }}
    >
      <div class="here-text">
        <h2>
          <span class="dot good" aria-hidden="true" /> Emulator at {here.host}
        </h2>
        <p>It serves this page, and is ready.</p>
      </div>
      {here.hubs.length > 1 ? (
        <label class="here-hub">
          <span class="sr-only">Event hub of this emulator</span>
          <select value={hub} onChange={(event) => setHub(event.currentTarget.value)}>
            {here.hubs.map(({ name, partitions }) => (
              <option key={name} value={name}>
                {name}, {plural(partitions, "partition")}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <span class="here-hub mono">{hub}</span>
      )}
      <button type="submit" class="primary" disabled={app.connecting.value !== undefined || !hub}>
        Connect
      </button>
    </form>
  );
}

function ConnectionForm(): JSX.Element {
  const settings = app.settings.peek();
  const kept = app.keptSecret.value;
  const [connection, setConnection] = useState(kept ?? "");
  const [hub, setHub] = useState(settings.eventHub);
  const [group, setGroup] = useState(settings.consumerGroup);
  const [keep, setKeep] = useState(kept !== undefined);
  const [shown, setShown] = useState(false);
  const parts = readConnectionString(connection);
  const before = readConnectionString(settings.connection);
  const needsHub = parts !== undefined && !parts.eventHub;
  const field = {
    id: "connection-string",
    class: "mono",
    autocomplete: "off",
    spellcheck: false,
    required: true,
    placeholder: "Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…",
    "aria-describedby": "connection-says",
    value: connection,
    onInput: (event: TargetedEvent<HTMLInputElement>) => setConnection(event.currentTarget.value),
  };
  return (
    <form
      class="card form"
      aria-label="Connection string"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void app.connect(connection, hub, group, keep);
      }}
    >
      <div class="field">
        <label for="connection-string">Connection string</label>
        <div class="with-button">
          {shown ? <input type="text" {...field} /> : <input type="password" {...field} />}
          <button type="button" class="quiet" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"}
          </button>
        </div>
        <p id="connection-says" class="hint">
          {parts
            ? [parts.host, parts.keyName && `key ${parts.keyName}`, parts.development && "emulator"].filter(Boolean).join(" · ")
            : connection
              ? "It begins with Endpoint=sb://."
              : before
                ? `Last time: ${[before.host, before.keyName && `key ${before.keyName}`].filter(Boolean).join(", ")}. The key was not kept: paste it again.`
                : "From the portal: Shared access policies. Sent to nobody but the namespace."}
        </p>
      </div>
      <div class="field-row">
        <div class="field">
          <label for="event-hub">Event hub</label>
          <input
            id="event-hub"
            type="text"
            autocomplete="off"
            spellcheck={false}
            required={needsHub}
            placeholder={parts?.eventHub ?? "eh1"}
            value={hub}
            onInput={(event) => setHub(event.currentTarget.value)}
          />
        </div>
        <div class="field">
          <label for="consumer-group">Consumer group</label>
          <input
            id="consumer-group"
            type="text"
            autocomplete="off"
            spellcheck={false}
            placeholder="$Default"
            value={group}
            onInput={(event) => setGroup(event.currentTarget.value)}
          />
        </div>
      </div>
      <div class="form-end">
        <label class="check">
          <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />
          Keep the key in this browser
        </label>
        <button type="submit" class="primary" disabled={app.connecting.value !== undefined}>
          Connect
        </button>
      </div>
      {keep && (
        <p class="hint" role="note">
          It is then kept unencrypted in this browser's localStorage for {location.origin}, where every page of that address
          can read it, until you connect without this tick.
        </p>
      )}
    </form>
  );
}
