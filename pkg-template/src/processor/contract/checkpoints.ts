// Promises about how far was read.

import { Broken, by, claimOf, isRefusal, readUntil, same, type Stage, written } from "./stage.js";

export const CHECKPOINTS: readonly [string, (stage: Stage) => Promise<void>][] = [
  ["a checkpoint is listed as it was written", asWritten],
  ["a checkpoint takes the place of the one before, even one that lies ahead", replaced],
  ["an offset alone or a sequence number alone is enough, and neither is refused", partial],
  ["checkpoints and ownerships do not touch each other", apart],
  ["hundreds of checkpoints are written and listed", many],
  ["a checkpoint that is given up on is the former or the new one", abandoned],
];

async function asWritten(stage: Stage): Promise<void> {
  const group = stage.group("written");
  const checkpoints = [
    readUntil("0", "0", 0),
    readUntil("1", "4611686018427387904", Number.MAX_SAFE_INTEGER),
    // Hubs that are replicated between regions have offsets that are no numbers.
    readUntil("2", "3:128:512-1", 17),
    readUntil("10", "-1", -1),
  ];
  for (const [number, checkpoint] of checkpoints.entries()) await stage.write(number, group, checkpoint);
  const listed = await stage.checkpoints(1, group);
  same("how many", listed.size, checkpoints.length);
  for (const wanted of checkpoints) same("a checkpoint", listed.get(wanted.partitionId), wanted);
}

async function replaced(stage: Stage): Promise<void> {
  const group = stage.group("replaced");
  for (const [number, sequenceNumber] of [5, 6, 700, 6, 0].entries()) {
    const checkpoint = readUntil("0", `${sequenceNumber * 100}`, sequenceNumber);
    await stage.write(number, group, checkpoint);
    same("the checkpoint", (await stage.checkpoints(number + 1, group)).get("0"), checkpoint);
  }
}

async function partial(stage: Stage): Promise<void> {
  const group = stage.group("partial");
  const [offset, number] = [readUntil("0", "100", NaN), readUntil("0", "", 1)];
  for (const checkpoint of [readUntil("0", "100", 1), offset, number]) {
    await stage.write(0, group, checkpoint);
    same("the checkpoint", (await stage.checkpoints(1, group)).get("0"), checkpoint);
  }
  const refusal = await stage
    .store(0)
    .updateCheckpoint(written(group, readUntil("0", "", NaN)))
    .then(() => undefined, (error: unknown) => ({ error }));
  if (refusal === undefined) throw new Broken("a checkpoint that says nothing was taken");
  if (!isRefusal(refusal.error)) throw new Broken(`a checkpoint that says nothing was refused with ${String(refusal.error)}, not 'invalid-argument'`);
  same("the checkpoint", (await stage.checkpoints(1, group)).get("0"), number);
}

async function apart(stage: Stage): Promise<void> {
  const group = stage.group("apart");
  const owned = await stage.win(0, group, claimOf("0", "a"));
  same("checkpoints", (await stage.checkpoints(1, group)).size, 0);
  await stage.write(0, group, readUntil("0", "1", 1));
  await stage.write(0, group, readUntil("1", "1", 1));
  same("the ownerships", [...(await stage.owners(1, group)).values()], [owned]);
  await stage.win(0, group, by(owned, "a"));
  same("checkpoints", (await stage.checkpoints(1, group)).size, 2);
}

async function many(stage: Stage): Promise<void> {
  const group = stage.group("hundreds");
  for (let round = 0; round < 2; round++) {
    const checkpoints = Array.from({ length: 200 }, (_, n) => readUntil(`${n}`, `${n * 7}`, n + round));
    await Promise.all(checkpoints.map((checkpoint) => stage.write(0, group, checkpoint)));
    const listed = await stage.checkpoints(1, group);
    same("how many", listed.size, checkpoints.length);
    for (const wanted of checkpoints) same("a checkpoint", listed.get(wanted.partitionId), wanted);
  }
}

async function abandoned(stage: Stage): Promise<void> {
  const group = stage.group("hasty");
  const [former, hasty] = [readUntil("0", "100", 1), readUntil("0", "200", 2)];
  for (let turns = 0; turns < 6; turns++) {
    await stage.write(0, group, former);
    const controller = new AbortController();
    const writing = stage.store(0).updateCheckpoint(written(group, hasty), { abortSignal: controller.signal });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    controller.abort();
    await writing.catch(() => undefined);
    const seen = (await stage.checkpoints(1, group)).get("0");
    if (seen?.offset === former.offset) same("the checkpoint", seen, former);
    else same("the checkpoint", seen, hasty);
  }
}
