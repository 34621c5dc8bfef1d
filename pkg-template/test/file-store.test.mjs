// The store in files: alone, among processes, and among files that nobody can understand.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { ours } from "./facade-support.mjs";
import { dist } from "./support.mjs";

const { checkpointStorePromises } = await dist("processor.js");
const { FileCheckpointStore } = await dist("processor-node.js");

const GROUP = ["Contoso.servicebus.windows.net", "Orders", "$Default"];
const IDS = { fullyQualifiedNamespace: GROUP[0], eventHubName: GROUP[1], consumerGroup: GROUP[2] };
const FOLDER = "contoso.servicebus.windows.net/orders/%24default";
const SELF = fileURLToPath(import.meta.url);

async function directory(t) {
  const made = await mkdtemp(join(tmpdir(), "eventhubs-files-"));
  t?.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

if (process.env.EVENTHUBS_CLAIMANT) {
  // A process of its own: claims one partition after the other against others, and says which it won.
  const store = new FileCheckpointStore(process.argv[2]);
  process.on("message", async (partitions) => {
    const won = [];
    for (const partitionId of partitions) {
      won.push(...(await store.claimOwnership([{ ...IDS, partitionId, ownerId: `${process.pid}` }])).map((record) => record.partitionId));
    }
    process.send(won);
  });
  process.send("ready");
} else {
  const shared = await mkdtemp(join(tmpdir(), "eventhubs-files-"));
  for (const { promise, run } of checkpointStorePromises(() => new FileCheckpointStore(shared))) test(promise, run);
  test("nothing is left beside the records", async () => {
    const all = await readdir(shared, { recursive: true, withFileTypes: true });
    assert.deepEqual(all.filter((entry) => entry.isFile() && !entry.name.endsWith(".txt")).map(({ name }) => name), []);
    await rm(shared, { recursive: true });
  });

  test("files are those of the Rust crate, to the letter", async (t) => {
    const place = await directory(t);
    const store = new FileCheckpointStore(`${place}/`);
    await store.updateCheckpoint({ ...IDS, partitionId: "0", offset: "4096", sequenceNumber: 17 });
    assert.equal(
      await readFile(join(place, FOLDER, "checkpoint/0.txt"), "utf8"),
      "eventhubs checkpoint 1\npartition=0\noffset=4096\nsequence-number=17\nend\n",
    );
    const [{ etag, lastModifiedTimeInMs }] = await store.claimOwnership([{ ...IDS, partitionId: "Ä b", ownerId: "a b=c\nd%ß" }]);
    assert.equal(
      await readFile(join(place, FOLDER, "ownership/%c3%84%20b.txt"), "utf8"),
      `eventhubs ownership 1\npartition=%C3%84 b\nowner=a b=c%0Ad%25%C3%9F\nmodified=${lastModifiedTimeInMs}\netag=${etag}\nend\n`,
    );
  });

  test("a file that cannot be understood is a failure of its partition, and an ownership is replaced by its version", async (t) => {
    const place = await directory(t);
    const store = new FileCheckpointStore(place);
    for (const partitionId of ["0", "1", "2", "3", "4", "5"]) {
      await store.updateCheckpoint({ ...IDS, partitionId, offset: "1", sequenceNumber: 1 });
      await store.claimOwnership([{ ...IDS, partitionId, ownerId: "me" }]);
    }
    const whole = "eventhubs checkpoint 1\npartition=0\noffset=1\nend\n";
    for (const [partition, bytes, why] of [
      ["0", "", /it is empty/],
      ["1", Buffer.from([0xff, 0xfe]), /not text/],
      ["2", whole.slice(0, -4), /end is missing|neither a field/],
      ["3", whole, /record of partition '0'/],
      ["4", whole.replace(" 1\n", " 2\n"), /version '2'/],
    ]) {
      await writeFile(join(place, FOLDER, `checkpoint/${partition}.txt`), bytes);
      const failures = [];
      const listed = await store.listCheckpoints(...GROUP, { failures });
      const mine = failures.filter(({ partitionId }) => partitionId === partition);
      assert.equal(mine.length, 1);
      ours("protocol", why)(mine[0].error);
      assert.equal(listed.length, 5 - Number(partition));
    }
    await writeFile(join(place, FOLDER, "ownership/0.txt"), "rubbish");
    const failures = [];
    await store.listOwnership(...GROUP, { failures });
    assert.deepEqual(await store.claimOwnership([{ ...IDS, partitionId: "0", ownerId: "me" }]), []);
    const [won] = await store.claimOwnership([{ ...IDS, partitionId: "0", ownerId: "me", etag: failures[0].etag }]);
    assert.equal(won.ownerId, "me");
    await assert.rejects(store.listCheckpoints(...GROUP), ours("protocol"));
  });

  test("processes that claim the same partitions win each of them once", async (t) => {
    const place = await directory(t);
    const partitions = Array.from({ length: 60 }, (_, index) => `${index}`);
    const processes = [1, 2, 3].map(() => fork(SELF, [place], { env: { ...process.env, EVENTHUBS_CLAIMANT: "1", NODE_TEST_CONTEXT: "" } }));
    t.after(() => processes.forEach((each) => each.kill()));
    await Promise.all(processes.map((each) => once(each, "message")));
    const won = await Promise.all(
      processes.map(async (each) => {
        const answer = once(each, "message");
        each.send(partitions);
        return (await answer)[0];
      }),
    );
    assert.deepEqual(won.flat().sort(), [...partitions].sort());
  });

  test("the lock of a process that was killed is taken away, that of one that lives is waited for", async (t) => {
    const place = await directory(t);
    const store = new FileCheckpointStore(place, { lockTimeoutMs: 100 });
    await store.claimOwnership([{ ...IDS, partitionId: "0", ownerId: "me" }]);
    const lock = join(place, FOLDER, "ownership.lock-js");
    const child = fork(SELF, [place], { env: { ...process.env, EVENTHUBS_CLAIMANT: "1", NODE_TEST_CONTEXT: "" } });
    await once(child, "message");
    await writeFile(lock, `${child.pid} ${hostname()}`);
    const claim = () => store.claimOwnership([{ ...IDS, partitionId: "1", ownerId: "me" }]);
    await assert.rejects(claim(), ours("timeout", new RegExp(`process ${child.pid} .* has held the lock`)));
    child.kill("SIGKILL");
    await once(child, "close");
    assert.equal((await claim()).length, 1);
  });

  test("a directory that is none is told with its path", async (t) => {
    const place = await directory(t);
    await writeFile(join(place, "file"), "");
    const store = new FileCheckpointStore(join(place, "file"));
    await assert.rejects(store.updateCheckpoint({ ...IDS, partitionId: "0", offset: "1", sequenceNumber: 1 }), ours("internal", /cannot make .*file/));
    assert.throws(() => new FileCheckpointStore(""), ours("invalid-argument"));
  });
}
