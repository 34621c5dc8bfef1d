// Promises about names.

import { Broken, by, claimOf, full, type Group, isRefusal, names, type Owned, readUntil, same, type Stage, written } from "./stage.js";
import type { RecordFailure } from "../checkpoint.js";

export const NAMES: readonly [string, (stage: Stage) => Promise<void>][] = [
  ["names in another case are the same group", cases],
  ["namespaces, hubs and groups are apart", apart],
  ["names that the service allows are kept", ordinary],
  ["odd names are kept apart and by the letter, or refused as an invalid argument", odd],
  ["odd owners and offsets are kept by the letter, or refused as an invalid argument", texts],
];

const ODD = [
  ...["with blank", "with+plus", "100%25", "a.b.", ".hidden", "..", "con", "quote'\"s", "semi;colon", "question?mark#hash", "back\\slash"],
  ...["slash/ed", "tab\there", "größe", "注文", "📦", "~", "<&>", "*", "a:b"],
];

async function cases(stage: Stage): Promise<void> {
  const mixed: Group = { ...stage.group("CASE"), eventHub: "OrdErs", consumerGroup: "$DEFAULT" };
  const [namespace, eventHub, consumerGroup] = names(mixed).map((name) => name.toLowerCase()) as [string, string, string];
  const plain: Group = { namespace, eventHub, consumerGroup };
  const mine = await stage.win(0, mixed, claimOf("0", "Me"));
  await stage.lose(1, plain, claimOf("0", "me"));
  same("the record", (await stage.owners(1, plain)).get("0"), mine);
  await stage.win(1, plain, by(mine, "Me"));
  await stage.write(0, plain, readUntil("0", "1", 1));
  await stage.write(1, mixed, readUntil("0", "2", 2));
  same("the checkpoints", [...(await stage.checkpoints(0, plain)).values()], [readUntil("0", "2", 2)]);
}

async function apart(stage: Stage): Promise<void> {
  const group = stage.group("apart-a");
  const all: Group[] = [
    { ...group, namespace: stage.group("apart-ab").namespace },
    { ...group, eventHub: "orders2" },
    { ...group, eventHub: "order" },
    { ...group, consumerGroup: "$Default2" },
    { ...group, consumerGroup: "$Defaul" },
    { ...group, eventHub: group.consumerGroup, consumerGroup: group.eventHub },
    group,
  ];
  for (const [number, one] of all.entries()) {
    same("ownerships of others", (await stage.owners(0, one)).size, 0);
    same("checkpoints of others", (await stage.checkpoints(0, one)).size, 0);
    await stage.win(0, one, claimOf("0", `${number}`));
    await stage.write(1, one, readUntil("0", `${number}`, 0));
  }
  for (const [number, one] of all.entries()) {
    same("the owners", [...(await stage.owners(1, one)).values()].map(({ ownerId }) => ownerId), [`${number}`]);
    same("the checkpoints", [...(await stage.checkpoints(0, one)).values()], [readUntil("0", `${number}`, 0)]);
  }
}

async function ordinary(stage: Stage): Promise<void> {
  const hub = Array<string>(14).fill("orders.2026_eu-west").join("-").slice(0, 256);
  for (const name of ["$Default", "a", "0", "a-b_c.d", "ownership", "checkpoint", "g".repeat(50)]) {
    const group: Group = { ...stage.group("ordinary"), eventHub: hub, consumerGroup: name };
    const owner = "6e1f8d6c-8a63-4f8a-9f0b-0f6a4f6f2f55";
    await stage.win(0, group, claimOf("0", owner));
    await stage.write(0, group, readUntil("1023", "5", 5));
    same("the owners", [...(await stage.owners(1, group)).values()].map(({ partitionId, ownerId }) => [partitionId, ownerId]), [["0", owner]]);
    same("the checkpoints", [...(await stage.checkpoints(1, group)).keys()], ["1023"]);
  }
}

async function odd(stage: Stage): Promise<void> {
  const kept: [Group, Owned][] = [];
  for (const name of ODD) {
    const base = stage.group("odd");
    const groups: Group[] = [{ ...base, consumerGroup: name }, { ...base, eventHub: name }, base];
    for (const [place, group] of groups.entries()) {
      const outcome = await claimed(stage, group, place === 2 ? name : "0", name);
      if ("error" in outcome) refused(name, outcome.error);
      else kept.push([group, outcome.won]);
    }
  }
  for (const [group, won] of kept) same("the record", (await stage.owners(1, group)).get(won.partitionId), won);
}

async function texts(stage: Stage): Promise<void> {
  const group = stage.group("texts");
  for (const [number, text] of [...ODD, " blanks ", "line\nbreak", "nul\0", "=", "%"].entries()) {
    const partition = `${number}`;
    const outcome = await claimed(stage, group, partition, text);
    const seen = (await stage.owners(1, group)).get(partition);
    if ("error" in outcome) {
      refused(text, outcome.error);
      same("the record of a refused owner", seen, undefined);
    } else {
      same("the owner", seen?.ownerId, text);
    }
    const checkpoint = readUntil(partition, text, 1);
    const refusal = await stage
      .store(1)
      .updateCheckpoint(written(group, checkpoint))
      .then(() => undefined, (error: unknown) => ({ error }));
    if (refusal !== undefined) refused(text, refusal.error);
    const kept = (await stage.checkpoints(0, group)).get(partition);
    same("the checkpoint", kept, refusal === undefined ? checkpoint : undefined);
  }
}

async function claimed(stage: Stage, group: Group, partition: string, owner: string): Promise<{ won: Owned } | { error: unknown }> {
  const failures: RecordFailure[] = [];
  try {
    const [won] = await stage.store(0).claimOwnership([full(group, claimOf(partition, owner))], { failures });
    if (won !== undefined) {
      const { partitionId, ownerId, etag, lastModifiedTimeInMs } = won;
      return { won: { partitionId, ownerId, etag, lastModifiedTimeInMs } as Owned };
    }
  } catch (error) {
    return { error };
  }
  if (failures[0] === undefined) throw new Broken(`a first claim was lost with the name '${owner}'`);
  return { error: failures[0].error };
}

function refused(text: string, error: unknown): void {
  if (!isRefusal(error)) throw new Broken(`'${text}' was neither kept nor refused as an invalid argument: ${String(error)}`);
}
