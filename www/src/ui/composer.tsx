import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { duration, plural } from "../model/format.ts";
import { type Draft, type DraftProperty, LARGEST_BATCH, PROPERTY_KINDS, type PropertyKind } from "../model/draft.ts";
import type { Session } from "../session/session.ts";
import { app } from "./app.ts";
import { Icon } from "./icons.tsx";
import { TroubleBox } from "./trouble-box.tsx";

const SAMPLE = `{
  "n": {n},
  "time": "{time}",
  "temperature": 21.5
}`;
const MOST_PER_SECOND = 200;

/** Makes events and sends them: once, or again and again. */
export function Composer({ session }: { session: Session }): JSX.Element {
  const remembered = app.settings.value.composer;
  const [body, setBody] = useState(SAMPLE);
  const [key, setKey] = useState("");
  const [partition, setPartition] = useState("0");
  const [properties, setProperties] = useState<DraftProperty[]>([]);
  const { contentType, route, batch, rate } = remembered;
  const { sender } = session;
  const repeating = sender.repeating.value;
  const wrong = sender.wrongField.value;
  const ids = session.overview.hub.value?.partitions.map(({ id }) => id) ?? [];
  const remember = (change: Partial<typeof remembered>): void => app.remember({ composer: { ...remembered, ...change } });
  const draft: Draft = { body, contentType, route, key, partition, properties, batch };
  const rateFits = rate > 0 && rate <= MOST_PER_SECOND;

  return (
    <form
      class="composer"
      aria-label="Composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (!repeating) void sender.send(draft);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          event.currentTarget.requestSubmit();
        }
      }}
    >
      <div class="field">
        <div class="label-row">
          <label for="composer-body">Body</label>
          <span class="hint" id="composer-body-hint">
            <code>{"{n}"}</code> <code>{"{time}"}</code> <code>{"{uuid}"}</code> <code>{"{random}"}</code> are filled in
          </span>
        </div>
        <textarea
          id="composer-body"
          class="mono"
          rows={8}
          spellcheck={false}
          aria-describedby="composer-body-hint"
          value={body}
          onInput={(event) => setBody(event.currentTarget.value)}
        />
      </div>
      <div class="field-row">
        <div class="field">
          <label for="composer-route">Partition</label>
          <select
            id="composer-route"
            value={route === "partition" ? `p${partition}` : route}
            onChange={(event) => {
              const { value } = event.currentTarget;
              if (value.startsWith("p")) setPartition(value.slice(1));
              remember({ route: value.startsWith("p") ? "partition" : value === "key" ? "key" : "any" });
            }}
          >
            <option value="any">any, in turn</option>
            <option value="key">by key</option>
            {ids.map((id) => (
              <option key={id} value={`p${id}`}>
                partition {id}
              </option>
            ))}
          </select>
        </div>
        <div class="field">
          <label for="composer-key">Key</label>
          <input
            id="composer-key"
            type="text"
            autocomplete="off"
            spellcheck={false}
            disabled={route !== "key"}
            aria-invalid={wrong === "key"}
            placeholder={route === "key" ? "such as device-7" : "none"}
            value={route === "key" ? key : ""}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </div>
        <div class="field whole">
          <label for="composer-type">Content type</label>
          <input
            id="composer-type"
            type="text"
            list="content-types"
            autocomplete="off"
            spellcheck={false}
            placeholder="none"
            value={contentType}
            onInput={(event) => remember({ contentType: event.currentTarget.value })}
          />
          <datalist id="content-types">
            <option value="application/json" />
            <option value="text/plain" />
            <option value="application/octet-stream" />
          </datalist>
        </div>
      </div>
      <Properties list={properties} invalid={wrong === "properties"} onChange={setProperties} />
      <div class="send-row">
        <div class="field">
          <label for="composer-batch">Events at once</label>
          <div class="with-button">
            <input
              id="composer-batch"
              type="number"
              min={1}
              max={LARGEST_BATCH}
              step={1}
              required
              aria-invalid={wrong === "batch"}
              value={batch}
              onInput={(event) => remember({ batch: event.currentTarget.valueAsNumber || 0 })}
            />
            <button type="submit" class="primary" disabled={repeating} title="Send (Ctrl + Enter)">
              <Icon name="send" /> Send
            </button>
          </div>
        </div>
        <div class="field">
          <label for="composer-rate">Times a second</label>
          <div class="with-button">
            <input
              id="composer-rate"
              type="number"
              min={0.1}
              max={MOST_PER_SECOND}
              step="any"
              disabled={repeating}
              value={rate}
              onInput={(event) => remember({ rate: event.currentTarget.valueAsNumber || 0 })}
            />
            {repeating ? (
              <button type="button" class="danger" onClick={() => sender.stop()}>
                <Icon name="stop" /> Stop
              </button>
            ) : (
              <button type="button" disabled={!rateFits} onClick={() => sender.repeat(draft, rate)}>
                <Icon name="play" /> Repeat
              </button>
            )}
          </div>
        </div>
      </div>
      <Outcome session={session} />
      {sender.trouble.value && <TroubleBox trouble={sender.trouble.value} />}
    </form>
  );
}

function Properties(props: {
  list: DraftProperty[];
  invalid: boolean;
  onChange: (list: DraftProperty[]) => void;
}): JSX.Element {
  const { list, invalid, onChange } = props;
  const change = (at: number, with_: Partial<DraftProperty>): void =>
    onChange(list.map((property, index) => (index === at ? { ...property, ...with_ } : property)));
  return (
    <fieldset class="properties" aria-invalid={invalid}>
      <legend>Properties</legend>
      {list.map((property, at) => (
        <div class="property" key={at}>
          <input
            type="text"
            aria-label={`Name of property ${at + 1}`}
            placeholder="name"
            autocomplete="off"
            spellcheck={false}
            value={property.name}
            onInput={(event) => change(at, { name: event.currentTarget.value })}
          />
          <select
            aria-label={`Type of property ${at + 1}`}
            value={property.kind}
            onChange={(event) => change(at, { kind: event.currentTarget.value as PropertyKind })}
          >
            {PROPERTY_KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {kind}
              </option>
            ))}
          </select>
          <input
            type="text"
            aria-label={`Value of property ${at + 1}`}
            placeholder="value"
            autocomplete="off"
            spellcheck={false}
            value={property.value}
            onInput={(event) => change(at, { value: event.currentTarget.value })}
          />
          <button
            type="button"
            class="icon-button"
            aria-label={`Remove property ${at + 1}`}
            onClick={() => onChange(list.filter((_, index) => index !== at))}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
      <button type="button" class="quiet add" onClick={() => onChange([...list, { name: "", kind: "text", value: "" }])}>
        <Icon name="plus" /> Add a property
      </button>
    </fieldset>
  );
}

function Outcome({ session }: { session: Session }): JSX.Element {
  const { sender } = session;
  const delay = sender.lastDelay.value;
  const parts = [
    sender.sent.value > 0 && `${plural(sender.sent.value, "event")} sent`,
    sender.sent.value > 0 && delay !== undefined && `last answer after ${duration(delay)}`,
  ].filter(Boolean);
  return (
    // Read out when something was sent, not with every one of many.
    <p class="outcome" role="status" aria-live={sender.repeating.value ? "off" : "polite"}>
      {sender.sending.value > 0 && !sender.repeating.value ? "Sending…" : parts.join(" · ")}
      {sender.behind.value && <strong> · slower than asked: answers do not come as fast</strong>}
    </p>
  );
}
