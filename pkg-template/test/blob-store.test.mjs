// The store in Azure Blob Storage: against Azurite, beside the official JavaScript store, and against answers that nobody wants.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { join } from "node:path";

import { ours } from "./facade-support.mjs";
import { checkpoints, group } from "./processor-support.mjs";
import { dist, eventually } from "./support.mjs";

const { BlobCheckpointStore, checkpointStorePromises } = await dist("processor.js");

const GROUP = ["contoso.servicebus.windows.net", "Orders", "$Default"];
const IDS = { fullyQualifiedNamespace: GROUP[0], eventHubName: GROUP[1], consumerGroup: GROUP[2] };
const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const owned = (partitionId, ownerId, etag) => ({ ...IDS, partitionId, ownerId, ...(etag && { etag }) });
const read = (partitionId, offset, sequenceNumber) => ({ ...IDS, partitionId, offset, sequenceNumber });

/** A folder with Azurite and the official store, where `cargo xtask test package` put it. */
const installed = process.env.EVENTHUBS_STORES;

describe("on Azurite", { skip: installed ? false : "EVENTHUBS_STORES names no folder with Azurite: cargo xtask test package" }, () => {
  let azurite;
  let endpoint;

  before(async () => {
    const args = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"];
    azurite = spawn(process.execPath, [join(installed, "node_modules/azurite/dist/src/blob/main.js"), ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: azurite.stdout });
    endpoint = await new Promise((resolve, reject) => {
      lines.on("line", (line) => /listens on (\S+)/.test(line) && resolve(/listens on (\S+)/.exec(line)[1]));
      azurite.on("close", () => reject(new Error("Azurite ended before it listened")));
    });
  });
  after(async () => {
    azurite?.kill();
    if (azurite?.exitCode === null) await once(azurite, "close");
  });

  const connection = () => `DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=${KEY};BlobEndpoint=${endpoint}/devstoreaccount1;`;
  const patient = { retry: { totalDeadlineMs: 110_000 } };
  const store = async (container = "groups") => {
    const made = BlobCheckpointStore.fromConnectionString(connection(), container, patient);
    await made.createContainer();
    return made;
  };

  // The same promises, whatever the store.
  for (const { promise, run } of checkpointStorePromises(() => store())) test(promise, run);

  test("a signed URL opens a container", async () => {
    await store();
    const query = accountSignature();
    const signed = BlobCheckpointStore.fromSasUrl(`${endpoint}/devstoreaccount1/groups?${query}`);
    await signed.updateCheckpoint(read("sas", "7", 7));
    assert.deepEqual((await signed.listCheckpoints(...GROUP)).filter(({ partitionId }) => partitionId === "sas"), [read("sas", "7", 7)]);
    const wrong = BlobCheckpointStore.fromSasUrl(`${endpoint}/devstoreaccount1/groups?${query.replace(/sig=./, "sig=!")}`);
    await assert.rejects(wrong.listCheckpoints(...GROUP), ours("unauthorized", /AuthenticationFailed|AuthorizationFailure/));
  });

  test("what is wrong is said: no container, a wrong key", async () => {
    const missing = BlobCheckpointStore.fromConnectionString(connection(), "missing");
    await assert.rejects(missing.updateCheckpoint(read("0", "1", 1)), ours("not-found", /createContainer/));
    const wrong = BlobCheckpointStore.fromConnectionString(connection().replace("Eby8", "Eby9"), "groups");
    await assert.rejects(wrong.listOwnership(...GROUP), ours("unauthorized", /Authenticat|Authoriz/));
  });

  const official = (container) => {
    const require = createRequire(join(installed, "package.json"));
    const { BlobCheckpointStore: Official } = require("@azure/eventhubs-checkpointstore-blob");
    const { ContainerClient } = require("@azure/storage-blob");
    return new Official(new ContainerClient(connection(), container));
  };

  test("processors with the official store and with ours share a hub, and go on where the other stopped", async (t) => {
    const { member, send, ids } = await group(t, 4);
    const ourStore = await store("shared");
    const how = { autoCheckpoint: { everyEvents: 1, onClose: true }, loadBalancingIntervalMs: 200, ownershipExpirationMs: 20_000 };
    const one = member(ourStore, how);
    const other = member(official("shared"), how);
    await eventually(() => one.owned.length === 2 && other.owned.length === 2, "two each");
    for (const id of ids) await send(id, "first");
    await eventually(() => one.count() + other.count() === 4, "each event once");
    await other.processor.stop();
    await eventually(() => one.owned.length === 4, "all of them");
    for (const id of ids) await send(id, "second");
    await eventually(() => one.count() + other.count() === 8, "each later event once");
    await one.processor.stop();
    const last = member(official("shared"), { ...how, strategy: "greedy" });
    await eventually(() => last.owned.length === 4, "all of them again");
    for (const id of ids) await send(id, "third");
    await eventually(() => last.count() === 4, "what is behind the checkpoints");
    assert.deepEqual(Object.values(last.seen), ids.map(() => ["third"]));
    await eventually(async () => Object.values(await checkpoints(ourStore, one.consumer)).join() === "2,2,2,2", "its checkpoints");
    for (const { errors } of [one, other, last]) assert.deepEqual(errors, []);
  });

  test("the official store and ours are members of one group", async () => {
    const ourStore = await store("both");
    const theirs = official("both");
    const brief = (list) => list.map(({ partitionId, ownerId }) => [partitionId, ownerId]).sort();
    const [mine] = await ourStore.claimOwnership([owned("0", "ours")]);
    const [yours] = await theirs.claimOwnership([owned("1", "theirs")]);
    const expected = [["0", "ours"], ["1", "theirs"]];
    assert.deepEqual(brief(await ourStore.listOwnership(...GROUP)), expected);
    assert.deepEqual(brief(await theirs.listOwnership(...GROUP)), expected);
    // Each takes over what the other owns, by what it listed; the loser's old version is worth nothing.
    const listedByThem = (await theirs.listOwnership(...GROUP)).find(({ partitionId }) => partitionId === "0");
    assert.equal((await theirs.claimOwnership([{ ...listedByThem, ownerId: "theirs" }])).length, 1);
    assert.deepEqual(await ourStore.claimOwnership([mine]), []);
    const listedByUs = (await ourStore.listOwnership(...GROUP)).find(({ partitionId }) => partitionId === "1");
    assert.equal((await ourStore.claimOwnership([{ ...listedByUs, ownerId: "ours" }])).length, 1);
    assert.deepEqual(await theirs.claimOwnership([yours]), []);
    // Checkpoints of one are continued by the other.
    await ourStore.updateCheckpoint(read("0", "100", 1));
    await theirs.updateCheckpoint(read("1", "200", 2));
    const sorted = (list) => list.map(({ partitionId, offset, sequenceNumber }) => [partitionId, offset, sequenceNumber]).sort();
    const both = [["0", "100", 1], ["1", "200", 2]];
    assert.deepEqual([sorted(await ourStore.listCheckpoints(...GROUP)), sorted(await theirs.listCheckpoints(...GROUP))], [both, both]);
    await theirs.updateCheckpoint(read("0", "300", 3));
    assert.deepEqual(sorted(await ourStore.listCheckpoints(...GROUP))[0], ["0", "300", 3]);
  });
});

/** A signature for all of Azurite's account. */
function accountSignature() {
  const [start, expiry] = ["2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"];
  const text = ["devstoreaccount1", "rwlac", "b", "sco", start, expiry, "", "https,http", "2021-12-02", "", ""].join("\n");
  const signature = createHmac("sha256", Buffer.from(KEY, "base64")).update(text).digest("base64");
  const query = { sv: "2021-12-02", ss: "b", srt: "sco", sp: "rwlac", st: start, se: expiry, spr: "https,http", sig: signature };
  return new URLSearchParams(query).toString();
}

/** A store whose requests are answered by a function. */
function answered(answer, options = {}) {
  const requests = [];
  const fetch = async (url, { method, headers, signal }) => {
    requests.push({ method, url: new URL(url), headers });
    return answer(requests.at(-1), requests.length, signal);
  };
  const retry = { baseDelayMs: 1, ...options.retry };
  return { requests, store: BlobCheckpointStore.fromSasUrl("https://c.blob.core.windows.net/groups?sv=1&sig=hush", { ...options, fetch, retry }) };
}

const listing = (...blobs) => () =>
  new Response(
    `\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="groups"><Blobs>${blobs
      .map(
        ([name, metadata, etag = "0x8D1"]) =>
          `<Blob><Name>${name}</Name><Properties><Last-Modified>Sat, 21 Nov 2026 19:02:50 GMT</Last-Modified>${
            etag && `<Etag>${etag}</Etag>`
          }</Properties><Metadata>${Object.entries(metadata).map(([key, value]) => `<${key}>${value}</${key}>`).join("")}</Metadata></Blob>`,
      )
      .join("")}</Blobs><NextMarker /></EnumerationResults>`,
  );
const PREFIX = "contoso.servicebus.windows.net/orders/$default";

test("records of other clients are read, and those that cannot be are failures of their partition alone", async () => {
  const blob = (partition, metadata) => [`${PREFIX}/checkpoint/${partition}`, metadata];
  const { store } = answered(
    listing(
      blob("0", { offset: "4096", sequencenumber: "17" }),
      blob("1", { Offset: "1", SequenceNumber: "2" }),
      blob("2", { offset: "5", sequencenumber: "" }),
      blob("3", { offset: "no offset", sequencenumber: "3", clientidentifier: "net" }),
      blob("4", { offset: "4", sequencenumber: "undefined" }),
      blob("5", { offset: "a&amp;b &lt;1&#62;", sequencenumber: "-1" }),
      blob("6", { offset: "6", sequencenumber: "six" }),
      blob("7", {}),
      blob("8", { offset: "8", sequencenumber: "9223372036854775807" }),
      blob("9/lease", { offset: "9", sequencenumber: "9" }),
      ["somewhere/else/0", { offset: "9", sequencenumber: "9" }],
    ),
  );
  const failures = [];
  const listed = await store.listCheckpoints(...GROUP, { failures });
  assert.deepEqual(
    listed.map(({ partitionId, offset, sequenceNumber }) => [partitionId, offset, sequenceNumber]),
    [["0", "4096", 17], ["1", "1", 2], ["2", "5", NaN], ["3", "", 3], ["4", "4", NaN], ["5", "a&b <1>", -1]],
  );
  assert.deepEqual(failures.map(({ partitionId }) => partitionId), ["6", "7", "8"]);
  for (const { error } of failures) assert.ok(ours("protocol", /checkpoint\/[678]' cannot be understood: .*; repair or delete it/)(error));
  await assert.rejects(store.listCheckpoints(...GROUP), ours("protocol"), "who does not ask for failures is told by an error");
});

test("an ownership that cannot be understood is a failure with its etag, to be claimed by", async () => {
  const { store } = answered(listing([`${PREFIX}/ownership/0`, {}], [`${PREFIX}/ownership/1`, { OwnerId: "me" }, '"0x8D2"']));
  const failures = [];
  const listed = await store.listOwnership(...GROUP, { failures });
  assert.deepEqual(listed, [{ ...owned("1", "me"), etag: "0x8D2", lastModifiedTimeInMs: 1_795_287_770_000 }]);
  assert.deepEqual(failures.map(({ partitionId, etag }) => [partitionId, etag]), [["0", "0x8D1"]]);
});

for (const [what, body, why] of [
  ["nothing", "", /no XML/],
  ["words", "not found", /begins|no XML|end/],
  ["a page", "<html><body>Sign in</body></html>", /'html'/],
  ["a half", "<EnumerationResults><Blobs>", /end is missing/],
  ["a tangle", "<EnumerationResults></Blobs>", /without a beginning/],
  ["an entity", "<EnumerationResults>&nbsp;</EnumerationResults>", /entity/],
]) {
  test(`${what} instead of a listing is no empty group`, async () => {
    const { store } = answered(() => new Response(body));
    await assert.rejects(store.listCheckpoints(...GROUP), ours("protocol", why));
  });
}

test("pages follow each other, and one that names itself is an error", async () => {
  const next = (marker) => `<EnumerationResults><Blobs/><NextMarker>${marker}</NextMarker></EnumerationResults>`;
  const { store, requests } = answered((_, number) => (number < 3 ? new Response(next(number)) : listing([`${PREFIX}/ownership/0`, { ownerid: "" }])()));
  assert.equal((await store.listOwnership(...GROUP)).length, 1);
  assert.deepEqual(requests.map(({ url }) => url.searchParams.get("marker")), [null, "1", "2"]);
  const circle = answered(() => new Response(next("same")));
  await assert.rejects(circle.store.listOwnership(...GROUP), ours("protocol", /for ever/));
});

test("a claim whose answer was lost is found to be won, and one that was lost is lost", async () => {
  const version = { etag: '"0x8D9"', "last-modified": "Sat, 21 Nov 2026 19:02:50 GMT" };
  for (const [owner, expected] of [["me", ["0x8D9"]], ["you", []]]) {
    const { store, requests } = answered(({ method }, number) => {
      if (number === 1) throw new TypeError("fetch failed");
      if (method === "HEAD") return new Response(null, { headers: { ...version, "x-ms-meta-ownerid": owner } });
      return new Response(null, { status: 409, headers: { "x-ms-error-code": "BlobAlreadyExists" } });
    });
    const won = await store.claimOwnership([owned("0", "me")]);
    assert.deepEqual(won.map(({ etag }) => etag), expected);
    assert.deepEqual(requests.map(({ method }) => method), ["PUT", "PUT", "HEAD"]);
  }
});

test("what is written is to the letter what the official clients write", async () => {
  const { store, requests } = answered(({ headers, url }) =>
    url.searchParams.get("comp") === "metadata" && headers["if-match"] === undefined
      ? new Response(null, { status: 404, headers: { "x-ms-error-code": "BlobNotFound" } })
      : new Response(null, { status: 201, headers: { etag: '"1"', "last-modified": "Sat, 21 Nov 2026 19:02:50 GMT" } }),
  );
  await store.claimOwnership([owned("0", "me"), owned("1", "", '"0x8D1"')]);
  await store.updateCheckpoint(read("0", "4096", 17));
  const own = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([name]) => !/x-ms-(date|version)/.test(name)));
  const brief = requests.map((request) => [request.url.pathname.replace(`/groups/${PREFIX.replace("$", "%24")}`, ""), request.url.searchParams.get("comp"), own(request)]);
  assert.deepEqual(brief, [
    ["/ownership/0", null, { "x-ms-meta-ownerid": "me", "if-none-match": "*", "x-ms-blob-type": "BlockBlob" }],
    ["/ownership/1", "metadata", { "x-ms-meta-ownerid": "", "if-match": '"0x8D1"' }],
    ["/checkpoint/0", "metadata", { "x-ms-meta-offset": "4096", "x-ms-meta-sequencenumber": "17" }],
    ["/checkpoint/0", null, { "x-ms-meta-offset": "4096", "x-ms-meta-sequencenumber": "17", "if-none-match": "*", "x-ms-blob-type": "BlockBlob" }],
  ]);
});

/** Answers of a checkpoint's blob. */
const written = () => new Response(null, { status: 200, headers: { etag: '"0x8D1"' } });
const refused = (status, code) => () => new Response(null, { status, headers: { "x-ms-error-code": code } });
const changed = refused(412, "ConditionNotMet");
const found = (sequenceNumber) => () => new Response(null, { headers: { etag: '"0x8D2"', "x-ms-meta-sequencenumber": `${sequenceNumber}` } });

/** What was asked when these checkpoints were written to a storage that answers so. */
async function asked(answers, numbers, prepare = async () => undefined) {
  const { store, requests } = answered((_, number) => answers[number - 1]());
  await prepare(store);
  for (const number of numbers) await store.updateCheckpoint(read("0", `${number}`, number));
  return requests.map(({ method, headers }) => `${method} ${headers["if-match"] ?? headers["if-none-match"] ?? "-"}`);
}

test("a checkpoint names the version that it replaces, so that one that is late replaces nothing newer", async () => {
  // Somebody else has written since: who lives looks what is there, and replaces that.
  assert.deepEqual(await asked([written, changed, found(1), written], [1, 2]), ["PUT -", 'PUT "0x8D1"', "HEAD -", 'PUT "0x8D2"']);
});

test("a checkpoint that others have left behind meanwhile does not put the group back", async () => {
  const answers = [written, changed, found(50), changed, found(50), changed, found(50), written];
  // Having looked is no leave to go back the next time.
  const [known, ahead] = ['PUT "0x8D1"', 'PUT "0x8D2"'];
  assert.deepEqual(await asked(answers, [1, 2, 3, 51]), ["PUT -", known, "HEAD -", known, "HEAD -", known, "HEAD -", ahead]);
});

test("whoever has looked may go back", async () => {
  const there = listing([`${PREFIX}/checkpoint/0`, { offset: "50", sequencenumber: "50" }, '"7"']);
  assert.deepEqual(await asked([there, written], [2], (store) => store.listCheckpoints(...GROUP)), ["GET -", 'PUT "7"']);
});

test("the first checkpoint of a partition does not replace one that was written meanwhile", async () => {
  const answers = [listing(), refused(409, "BlobAlreadyExists"), found(50)];
  assert.deepEqual(await asked(answers, [2], (store) => store.listCheckpoints(...GROUP)), ["GET -", "PUT *", "HEAD -"]);
});

test("a checkpoint that others write all the time is given up, and may be tried again", async () => {
  const { store, requests } = answered((_, number) => (number % 2 === 1 ? changed() : found(1)()));
  await assert.rejects(store.updateCheckpoint(read("0", "2", 2)), (error) => ours("server-busy", /others wrote the checkpoint/)(error) && error.retryable);
  assert.equal(requests.length, 8);
});

test("a busy storage is asked again, a silent one is given up on, and a refusal is told at once", async () => {
  const busy = answered((_, number) => (number < 3 ? new Response("", { status: 503 }) : listing()()));
  assert.deepEqual(await busy.store.listOwnership(...GROUP), []);
  assert.equal(busy.requests.length, 3);
  const refused = answered(() => new Response("", { status: 403, headers: { "x-ms-error-code": "AuthorizationFailure", "x-ms-request-id": "r1" } }));
  await assert.rejects(refused.store.listOwnership(...GROUP), (error) => ours("unauthorized")(error) && error.trackingId === "r1");
  assert.equal(refused.requests.length, 1);
  const silent = answered((_, __, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))), {
    retry: { attemptTimeoutMs: 20, maxAttempts: 2 },
  });
  await assert.rejects(silent.store.listOwnership(...GROUP), ours("timeout"));
  assert.equal(silent.requests.length, 2);
});

test("tokens are asked for once, for storage, and sent to no one else", async () => {
  const asked = [];
  const authorizations = [];
  const fetch = async (_, { headers }) => (authorizations.push(headers.authorization), listing()());
  const credential = { getToken: async (scope) => (asked.push(scope), { token: "jwt", expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const store = BlobCheckpointStore.fromTokenCredential("https://c.blob.core.windows.net/groups", credential, { fetch });
  await Promise.all([store.listOwnership(...GROUP), store.listCheckpoints(...GROUP)]);
  assert.deepEqual([asked, authorizations], [["https://storage.azure.com/.default"], ["Bearer jwt", "Bearer jwt"]]);
  assert.throws(() => BlobCheckpointStore.fromTokenCredential("http://c.example/groups", credential), ours("invalid-argument", /not encrypted/));
});

test("other cases are read where that is wanted, and the further checkpoint counts", async () => {
  const answer = ({ url }) => {
    const prefix = url.searchParams.get("prefix");
    const isFolded = prefix === prefix.toLowerCase();
    return listing([`${prefix}0`, { offset: isFolded ? "1" : "2", sequencenumber: isFolded ? "1" : "2" }], ...(isFolded ? [] : [[`${prefix}1`, { offset: "5", sequencenumber: "5" }]]))();
  };
  const { store } = answered(answer, { readNamesInOtherCases: true });
  assert.deepEqual(await store.listCheckpoints(...GROUP), [read("0", "2", 2), read("1", "5", 5)]);
});

test("what makes no store is refused, and no secret is told", async () => {
  for (const [make, code, why] of [
    [() => BlobCheckpointStore.fromSasUrl("contoso"), "invalid-argument", /no URL/],
    [() => BlobCheckpointStore.fromSasUrl("https://c.blob.core.windows.net/groups?sv=hush"), "invalid-argument", /no signature/],
    [() => BlobCheckpointStore.fromSasUrl("https://c.blob.core.windows.net/?sig=hush"), "invalid-argument", /no container/],
    [() => BlobCheckpointStore.fromConnectionString("AccountName=c;AccountKey=hush!", "groups"), "invalid-connection-string", /Base64/],
    [() => BlobCheckpointStore.fromConnectionString("AccountKey=hush", "groups"), "invalid-connection-string", /neither/],
    [() => BlobCheckpointStore.fromConnectionString("UseDevelopmentStorage=true", "Groups"), "invalid-argument", /lower-case/],
  ]) {
    assert.throws(make, (error) => ours(code, why)(error) && !inspect(error).includes("hush"));
  }
  const { store } = answered(() => new Response("", { status: 403 }));
  assert.ok(!inspect(store, { showHidden: true, depth: 9 }).includes("hush"));
  await assert.rejects(store.listOwnership(...GROUP), (error) => !inspect(error).includes("hush"));
});
