import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Check, Target, Verdict } from "../client.ts";
import { duration, plural } from "../model/format.ts";
import { app } from "./app.ts";
import { Icon, type IconName } from "./icons.tsx";
import { TroubleBox } from "./trouble-box.tsx";

/** What works on the way to the hub, one line for each thing that was looked at. */
export function DiagnosisDialog(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const { diagnostics } = app;
  const of = diagnostics.case.value;
  const running = diagnostics.running.value;
  const open = of !== undefined;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      class="help diagnosis"
      aria-labelledby="diagnosis-title"
      onClose={() => diagnostics.close()}
      onClick={(event) => {
        if (event.target === dialog.current) diagnostics.close();
      }}
    >
      {of && (
        <div class="help-inner">
          <header>
            <h2 id="diagnosis-title">Diagnosis</h2>
            <button type="button" class="icon-button" aria-label="Close" onClick={() => diagnostics.close()}>
              <Icon name="close" />
            </button>
          </header>
          <p class="hint">
            The way to <strong>{of.target.eventHub}</strong> at {of.found?.endpoint ?? of.host}, tried with connections of its
            own. No event is sent or taken.
          </p>
          <p class="diagnosis-sum" role="status">
            {running ? (
              <>
                <span class="spinner" aria-hidden="true" /> Looking; it takes half a minute at most…
              </>
            ) : (
              of.found && summary(of.found.checks)
            )}
          </p>
          {of.trouble && <TroubleBox trouble={of.trouble} />}
          {of.found && (
            <ol class="checks" aria-label="Checks">
              {of.found.checks.map((check) => (
                <CheckLine key={check.name} check={check} />
              ))}
            </ol>
          )}
          <div>
            <button type="button" disabled={running} onClick={() => void diagnostics.run(of.target, of.host)}>
              Look again
            </button>
          </div>
        </div>
      )}
    </dialog>
  );
}

/** Opens the dialog, and looks. */
export function DiagnoseButton({ target, host }: { target: Target; host: string }): JSX.Element {
  return (
    <button
      type="button"
      class="diagnose"
      title="Find out what works on the way to the hub, and what does not"
      onClick={() => void app.diagnostics.run(target, host)}
    >
      Diagnose
    </button>
  );
}

const NAMES: Readonly<Record<Check["name"], string>> = {
  dns: "Name",
  socket: "Socket",
  tls: "TLS",
  websocket: "WebSocket",
  sasl: "AMQP",
  cbs: "Token",
  entity: "Event hub",
  rights: "Rights",
  clock: "Clock",
};

const VERDICTS: Readonly<Record<Verdict, readonly [icon: IconName, text: string]>> = {
  ok: ["done", "works"],
  warning: ["warn", "warning"],
  failed: ["close", "failed"],
  skipped: ["none", "not looked at"],
};

function CheckLine({ check }: { check: Check }): JSX.Element {
  const { name, verdict, detail, hint, tookMs } = check;
  const [icon, text] = VERDICTS[verdict];
  return (
    <li class={`check-line ${verdict}`}>
      <span class="verdict" title={text}>
        <Icon name={icon} />
      </span>
      <div>
        <p>
          <strong>{NAMES[name]}</strong>
          <span class="sr-only">: {text}.</span>
          {tookMs > 0 && verdict !== "skipped" && <span class="took"> {duration(tookMs)}</span>}
        </p>
        <p class="check-detail">{detail}</p>
        {hint && <p class="check-hint">{hint}</p>}
      </div>
    </li>
  );
}

function summary(checks: readonly Check[]): string {
  const count = (verdict: Verdict): number => checks.filter((check) => check.verdict === verdict).length;
  const [failed, warnings] = [count("failed"), count("warning")];
  if (failed > 0) return `${plural(failed, "check")} failed.`;
  return warnings > 0 ? `It works, with ${plural(warnings, "warning")}.` : "Everything that could be looked at works.";
}
