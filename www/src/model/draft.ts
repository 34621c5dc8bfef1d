import type { EventInput, PropertyValue } from "../client.ts";
import { uuid } from "./uuid.ts";

/** The kinds of value that a property can be given in the composer. */
export const PROPERTY_KINDS = ["text", "number", "boolean", "time"] as const;
export type PropertyKind = (typeof PROPERTY_KINDS)[number];

export interface DraftProperty {
  name: string;
  kind: PropertyKind;
  value: string;
}

/** What the composer holds. */
export interface Draft {
  body: string;
  contentType: string;
  route: "any" | "key" | "partition";
  key: string;
  partition: string;
  properties: DraftProperty[];
  batch: number;
}

/** A draft that cannot be sent as it is: says which field, and why. */
export class DraftError extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
    this.name = "invalid-draft";
  }
}

/** The largest number of events of one click: more is what repeating is for. */
export const LARGEST_BATCH = 10_000;

/** The events of a draft. `first` is the number of the first one, for `{n}`. */
export function eventsOf(draft: Draft, first: number, now: Date): EventInput[] {
  const properties = propertiesOf(draft.properties);
  const contentType = draft.contentType.trim();
  if (!Number.isInteger(draft.batch) || draft.batch < 1 || draft.batch > LARGEST_BATCH) {
    throw new DraftError("batch", `Send 1 to ${LARGEST_BATCH} events at a time.`);
  }
  if (draft.route === "key" && !draft.key) throw new DraftError("key", "Enter the key that chooses the partition.");
  return Array.from({ length: draft.batch }, (_, index) => ({
    body: fill(draft.body, first + index, now),
    ...(contentType ? { contentType } : {}),
    ...(properties ? { properties } : {}),
  }));
}

/** Puts in what stands in braces: `{n}` the event's number, `{time}` now, `{uuid}`, `{random}` 0 to 999. Other braces stay. */
export function fill(template: string, n: number, now: Date): string {
  if (!template.includes("{")) return template;
  return template.replace(/\{(n|time|uuid|random)\}/g, (_, word: string) => {
    switch (word) {
      case "n":
        return String(n);
      case "time":
        return now.toISOString();
      case "uuid":
        return uuid();
      default:
        return String(Math.floor(Math.random() * 1_000));
    }
  });
}

function propertiesOf(list: readonly DraftProperty[]): Record<string, PropertyValue> | undefined {
  const named = list.filter((property) => property.name.trim() !== "" || property.value !== "");
  if (named.length === 0) return undefined;
  const properties: Record<string, PropertyValue> = {};
  for (const property of named) {
    const name = property.name.trim();
    if (!name) throw new DraftError("properties", `The property with the value “${property.value}” has no name.`);
    if (Object.hasOwn(properties, name)) throw new DraftError("properties", `The property “${name}” is there twice.`);
    properties[name] = valueOf(name, property);
  }
  return properties;
}

function valueOf(name: string, { kind, value }: DraftProperty): PropertyValue {
  switch (kind) {
    case "text":
      return value;
    case "number": {
      const number = Number(value);
      if (value.trim() === "" || !Number.isFinite(number)) {
        throw new DraftError("properties", `The property “${name}” is to be a number, and “${value}” is none.`);
      }
      return number;
    }
    case "boolean": {
      const word = value.trim().toLowerCase();
      if (word !== "true" && word !== "false") {
        throw new DraftError("properties", `The property “${name}” is to be true or false, and is “${value}”.`);
      }
      return word === "true";
    }
    case "time": {
      const time = value.trim() === "" ? new Date() : new Date(value);
      if (Number.isNaN(time.getTime())) {
        throw new DraftError("properties", `The property “${name}” is to be a time such as 2026-01-31T12:00:00Z.`);
      }
      return time;
    }
  }
}
