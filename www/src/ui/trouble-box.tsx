import type { ComponentChildren, JSX } from "preact";
import type { Trouble } from "../model/words.ts";
import { Icon } from "./icons.tsx";

/** An error in words: what happened, what to do, and what the client said in full. */
export function TroubleBox({ trouble, children }: { trouble: Trouble; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="trouble" role="alert">
      <Icon name="warn" />
      <div class="trouble-text">
        <p class="trouble-title">{trouble.title}</p>
        {trouble.advice && <p>{trouble.advice}</p>}
        {trouble.detail && trouble.detail !== trouble.title && (
          <p class="trouble-detail">
            {!trouble.detail.includes(trouble.code) && <code>{trouble.code} </code>}
            {trouble.detail}
          </p>
        )}
        {trouble.page && (
          <a href={trouble.page} target="_blank" rel="noopener">
            What this error means
          </a>
        )}
        {children}
      </div>
    </div>
  );
}
