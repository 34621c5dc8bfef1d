// How records lie in blobs: names and metadata, as the official clients write and read them. As src/checkpoint/native/blob/records.rs.

import { EventHubsError } from "../../error.js";
import { invalid } from "../../internal/check.js";
import { type Checkpoint, checked, type PartitionOwnership, type PartitionPlace, type RecordFailure } from "../checkpoint.js";
import { place } from "../rules.js";
import type { Item } from "./listing.js";

export type Kind = "ownership" | "checkpoint";

export const OWNER = "x-ms-meta-ownerid";
const OFFSET = "x-ms-meta-offset";
export const SEQUENCE_NUMBER = "x-ms-meta-sequencenumber";
/** What some clients write for a value that they do not have. */
const ABSENT = ["", "no offset", "none", "null", "undefined"];
/** Names of blobs have at most so many characters. */
const LONGEST_NAME = 1024;

/** What the names of a group's blobs begin with. */
export function prefixOf(kind: Kind, group: readonly string[]): string {
  for (const part of group) checkPart(part);
  return `${group.join("/")}/${kind}/`;
}

export function nameOf(kind: Kind, [namespace, eventHub, consumerGroup, partitionId]: readonly [string, string, string, string]): string {
  checkPart(partitionId);
  const name = prefixOf(kind, [namespace, eventHub, consumerGroup]) + partitionId;
  const { length } = [...name];
  if (length > LONGEST_NAME) throw invalid(`the blob's name would have ${length} characters, at most ${LONGEST_NAME} are allowed`);
  return name;
}

/** The owner as metadata. */
export function ownerHeaders({ ownerId }: PartitionOwnership): Record<string, string> {
  return { [OWNER]: metadata("owner", ownerId) };
}

/** Offset and sequence number as metadata. Both keys are written always, as some clients read nothing without. */
export function checkpointHeaders(given: Checkpoint): Record<string, string> {
  const { offset, sequenceNumber } = checked(given);
  if (offset !== "" && isAbsent(offset)) throw invalid(`the offset '${offset.slice(0, 40)}' would be read as none`);
  return {
    [OFFSET]: metadata("offset", offset),
    [SEQUENCE_NUMBER]: Number.isNaN(sequenceNumber) ? "" : String(sequenceNumber),
  };
}

/** Who owns a partition by its blob. */
export function ownershipOf(item: Item, where: PartitionPlace): PartitionOwnership | RecordFailure {
  const { etag, lastModified } = item;
  if (etag === undefined) return failure(item, where, "it has no etag");
  const ownerId = item.metadata.get("ownerid");
  if (ownerId === undefined) return failure(item, where, "its metadata has no 'ownerid'");
  return { ...place(where), ownerId, etag, ...(lastModified !== undefined && { lastModifiedTimeInMs: lastModified }) };
}

/** How far a partition was read by its blob. */
export function checkpointOf(item: Item, where: PartitionPlace): Checkpoint | RecordFailure {
  const present = (name: string): string | undefined => {
    const text = item.metadata.get(name);
    return text === undefined || isAbsent(text) ? undefined : text;
  };
  const text = present("sequencenumber");
  if (text !== undefined && !/^[+-]?\d+$/.test(text.trim())) {
    return failure(item, where, `its 'sequencenumber' is '${text.slice(0, 40)}', which is no number`);
  }
  const sequenceNumber = text === undefined ? NaN : Number(text);
  if (text !== undefined && !Number.isSafeInteger(sequenceNumber)) {
    return failure(item, where, `its 'sequencenumber' is ${text.slice(0, 40)}, which is larger than a JavaScript number holds exactly`);
  }
  const offset = present("offset") ?? "";
  if (offset === "" && text === undefined) return failure(item, where, "its metadata has neither an 'offset' nor a 'sequencenumber'");
  return { ...place(where), offset, sequenceNumber };
}

function failure({ name, etag }: Item, { partitionId }: PartitionPlace, reason: string): RecordFailure {
  const message = `the blob '${name.slice(0, LONGEST_NAME)}' cannot be understood: ${reason}; repair or delete it`;
  return { partitionId, etag, error: new EventHubsError("protocol", message, { entity: name }) };
}

function isAbsent(text: string): boolean {
  return ABSENT.includes(text.trim().toLowerCase());
}

/** A part of a blob's name: what storage would change, or take for two, is refused. */
function checkPart(part: string): void {
  const why =
    part === ""
      ? "is empty"
      : /[/\\]/.test(part)
        ? "has a slash in it"
        : /\p{Cc}/u.test(part)
          ? "has a control character in it"
          : part.endsWith(".")
            ? "ends with a full stop"
            : undefined;
  if (why !== undefined) throw invalid(`'${part.slice(0, 80)}' ${why}, which the name of a blob cannot hold`);
}

/** A value of metadata: it travels as a header. */
function metadata(what: string, text: string): string {
  if (/^[ -~]*$/.test(text) && text.trim() === text) return text;
  throw invalid(`the ${what} '${text.slice(0, 80)}' cannot be kept in a blob's metadata, which takes ASCII without blanks around it`);
}
