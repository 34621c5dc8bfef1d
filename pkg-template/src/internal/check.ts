// What users pass in, checked at once: their types say it, and JavaScript has none.

import { EventHubsError } from "../error.js";

/** What a value must be: a type's name, or a test and what to say. */
export type Rule = "string" | "number" | "boolean" | "function" | "object" | "any" | readonly [test: (value: unknown) => boolean, wanted: string];

/** Milliseconds, `Infinity` included. */
export const millis: Rule = [(value) => typeof value === "number" && value >= 0, "a number of milliseconds"];
/** A whole number that is not negative. */
export const count: Rule = [(value) => Number.isInteger(value) && (value as number) >= 0, "a whole number, 0 or more"];
/** A whole number above zero. */
export const atLeastOne: Rule = [(value) => Number.isInteger(value) && (value as number) > 0, "a whole number, 1 or more"];
/** An `AbortSignal`, or what behaves like one. */
export const signal: Rule = [(value) => typeof (value as AbortSignal | null)?.addEventListener === "function", "an AbortSignal"];

/**
 * The options of `what`. Undefined is as good as absent.
 *
 * @throws EventHubsError `invalid-argument`, naming the option that is unknown or of a wrong type.
 */
export function options<T extends object>(given: T | undefined, rules: Record<string, Rule>, what: string): Partial<T> {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object" || Array.isArray(given)) throw wrong(`the options of ${what}`, "an object", given);
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) throw invalid(`${what} has no option '${name}'${hint(name, Object.keys(rules))}`);
    if (value !== undefined) value_(value, rule, `the option '${name}' of ${what}`);
  }
  return given;
}

/** A text with something in it. */
export function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw wrong(what, "a text that is not empty", value);
  return value;
}

export function invalid(message: string, eventIndex?: number): EventHubsError {
  return new EventHubsError("invalid-argument", message, { eventIndex });
}

export function wrong(what: string, wanted: string, value: unknown): EventHubsError {
  return invalid(`${what} must be ${wanted}, not ${shown(value)}`);
}

/** Names what was probably meant. */
export function hint(given: string, known: readonly string[]): string {
  const [nearest] = known
    .map((name) => ({ name, far: distance(given.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  const near = nearest !== undefined && nearest.far <= Math.max(2, given.length / 2);
  return near ? `: did you mean '${nearest.name}'?` : `; there are ${known.join(", ")}`;
}

function value_(value: unknown, rule: Rule, what: string): void {
  if (rule === "any") return;
  const [test, wanted] =
    typeof rule === "string"
      ? [(value: unknown) => typeof value === rule && value !== null, `${rule === "object" ? "an" : "a"} ${rule}`]
      : rule;
  if (!test(value)) throw wrong(what, wanted, value);
}

/** Kinds only: what was given may be a key. */
function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) return String(value);
  if (value === "") return "an empty text";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : typeof value === "string" ? "a text" : `a ${typeof value}`;
}

/** How many letters have to be changed, added or left out. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
