// What an emulator is like from outside: its hubs, its options, its end.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { built, dist, eventually, next } from "./support.mjs";

const { Emulator } = await dist("emulator.js");
const registry = () => globalThis[Symbol.for("eventhubs.emulators")];

function refused(code, message) {
  return { name: "EventHubsError", code, retryable: false, message };
}

test("without options there is the hub of the official emulator's sample", async (t) => {
  const emulator = await Emulator.start();
  t.after(() => emulator.stop());
  const [hub, ...others] = emulator.hubs();
  assert.deepEqual(others, []);
  assert.equal(hub.name, "eh1");
  assert.equal(hub.partitions, 4);
  assert.deepEqual(hub.consumerGroups, ["$Default", "cg1"]);
  assert.ok(Math.abs(hub.createdAt - Date.now()) < 60_000);
  assert.equal(emulator.connections, 0);
  assert.equal(emulator.storedBytes, 0);
});

test("hubs are as asked, and by name", async (t) => {
  const emulator = await Emulator.start({
    hubs: { orders: 2, audit: { partitions: 32, consumerGroups: ["a", "b"] }, plain: {} },
  });
  t.after(() => emulator.stop());
  assert.deepEqual(
    emulator.hubs().map(({ name, partitions, consumerGroups }) => [name, partitions, consumerGroups]),
    [
      ["audit", 32, ["$Default", "a", "b"]],
      ["orders", 2, ["$Default"]],
      ["plain", 4, ["$Default"]],
    ],
  );
});

test("hubs and consumer groups come and go", async (t) => {
  const emulator = await Emulator.start({ hubs: {} });
  t.after(() => emulator.stop());
  assert.deepEqual(emulator.hubs(), []);
  emulator.createHub("one");
  emulator.createHub("two", 7);
  emulator.createHub("three", { partitions: 1, consumerGroups: ["x"] });
  emulator.createConsumerGroup("two", "y");
  emulator.deleteConsumerGroup("three", "x");
  emulator.deleteHub("one");
  assert.deepEqual(
    emulator.hubs().map(({ name, partitions, consumerGroups }) => [name, partitions, ...consumerGroups]),
    [
      ["three", 1, "$Default"],
      ["two", 7, "$Default", "y"],
    ],
  );

  assert.throws(() => emulator.createHub("TWO"), refused("invalid-argument", "hub 'TWO' exists already"));
  assert.throws(() => emulator.deleteHub("four"), refused("not-found", "hub 'four' does not exist"));
  assert.throws(() => emulator.createConsumerGroup("four", "y"), refused("not-found", /hub 'four'/));
  assert.throws(() => emulator.createConsumerGroup("two", "Y"), refused("invalid-argument", /'Y' of hub 'two' exists/));
  assert.throws(() => emulator.deleteConsumerGroup("two", "$Default"), refused("invalid-argument", /\$Default/));
  assert.throws(() => emulator.createHub("no/slash/please"), refused("invalid-argument", /no\/slash\/please/));
  // A hub with a group that cannot be is not there at all.
  assert.throws(() => emulator.createHub("five", { consumerGroups: ["a", "a"] }), refused("invalid-argument", /'a'/));
  assert.equal(emulator.hubs().length, 2);
});

const WRONG = [
  [{ hub: {} }, "the options of Emulator.start has no option 'hub': did you mean 'hubs'?"],
  [{ retentionMS: 1 }, /no option 'retentionMS': did you mean 'retentionMs'\?/],
  [{ port: 5672 }, /no option 'port'/],
  ["eh1", "the options of Emulator.start must be an object, not a text"],
  [[], "the options of Emulator.start must be an object, not an array"],
  [{ hubs: ["eh1"] }, "hubs must be an object, not an array"],
  [{ hubs: { eh1: "4" } }, "hubs.eh1 must be an object, not a text"],
  [{ hubs: { eh1: 0 } }, /hubs\.eh1 must be a whole number from 1 to \d+, not 0/],
  [{ hubs: { eh1: 1.5 } }, /hubs\.eh1 must be a whole number .*, not 1\.5/],
  [{ hubs: { eh1: NaN } }, /hubs\.eh1 .* not NaN/],
  [{ hubs: { eh1: 2000 } }, /1024/],
  [{ hubs: { eh1: { partition: 4 } } }, "hubs.eh1 has no option 'partition': did you mean 'partitions'?"],
  [{ hubs: { eh1: { consumerGroups: "cg1" } } }, "hubs.eh1.consumerGroups must be an array of names, not a text"],
  [{ hubs: { eh1: { consumerGroups: [7] } } }, /hubs\.eh1\.consumerGroups\[0\] must be a text .*, not 7/],
  [{ hubs: { "": 4 } }, "the name of the hub must be a text that is not empty, not an empty text"],
  [{ hubs: { "a b": 4 } }, /a b/],
  [{ hubs: { a: 1, A: 1 } }, "hub 'A' exists already"],
  [{ keys: { app: "secret-text" } }, "keys.app must be an object, not a text"],
  [{ keys: { app: { key: 7 } } }, "keys.app.key must be a text"],
  [{ keys: { app: { key: "secret-text", rights: "sent" } } }, "keys.app.rights: there is no right 'sent': did you mean 'send'?"],
  [{ acceptAnyToken: 1 }, "acceptAnyToken must be true or false, not 1"],
  [{ maxBytes: -1 }, /maxBytes must be a whole number/],
  [{ maxBytes: 2 ** 40 }, /maxBytes must be a whole number from 1 to 2147483648, not 1099511627776/],
];

test("what is wrong with an option is said, and no key is", async () => {
  for (const [options, message] of WRONG) {
    const error = await Emulator.start(options).then(
      () => assert.fail(`${JSON.stringify(options)} was taken`),
      (error) => error,
    );
    assert.throws(() => {
      throw error;
    }, refused("invalid-argument", message));
    assert.doesNotMatch(error.message, /secret-text/);
  }
  assert.deepEqual([...(registry() ?? [])], [], "none of them is left");
});

test("clients find it by its host until it is stopped", async () => {
  const [one, two] = await Promise.all([Emulator.start(), Emulator.start()]);
  const host = (emulator) => /^Endpoint=sb:\/\/([0-9a-f]{16}\.emulator\.invalid);/.exec(emulator.connectionString)[1];
  assert.notEqual(host(one), host(two));
  assert.match(
    one.connectionString,
    /;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true$/,
  );
  assert.equal(registry().get(host(one)), one.WebSocket);
  assert.equal(registry().get(host(two)), two.WebSocket);
  await one.stop();
  assert.equal(registry().has(host(one)), false);
  assert.equal(registry().get(host(two)), two.WebSocket);
  // What `await using` calls at the end of a block.
  await two[Symbol.asyncDispose]();
  assert.equal(registry().size, 0);
});

test("one that is stopped says so, and stopping it again is fine", async () => {
  const emulator = await Emulator.start();
  assert.equal(emulator.stop(), emulator.stop());
  await emulator.stop();
  assert.throws(() => emulator.hubs(), refused("closed", "cannot list the hubs: the emulator is stopped"));
  assert.throws(() => emulator.createHub("a"), refused("closed", /cannot create the hub/));
  assert.throws(() => emulator.deleteHub("eh1"), refused("closed", /cannot delete the hub/));
  assert.equal(emulator.connections, 0);
  assert.equal(emulator.storedBytes, 0);
  const socket = new emulator.WebSocket("wss://anywhere/", "AMQPWSB10");
  const [error, close] = await Promise.all([next(socket, "error"), next(socket, "close")]);
  assert.match(error.message, /it is stopped/);
  assert.equal(close.code, 1006);
});

test("its memory is given back", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const { instantiate } = WebAssembly;
  const memories = [];
  WebAssembly.instantiate = async (...given) => {
    const instance = await instantiate(...given);
    memories.push(new WeakRef(instance.exports.memory));
    return instance;
  };
  let emulator;
  try {
    emulator = await Emulator.start();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  const socket = new emulator.WebSocket("wss://anywhere/", "AMQPWSB10");
  await next(socket, "open");
  assert.equal(memories.length, 1);
  await emulator.stop();
  await eventually(async () => {
    collect();
    return memories[0].deref() === undefined;
  }, "nobody holds the instance's memory, though the emulator and a socket are still there");
  assert.equal(socket.readyState, 3);
  assert.equal(emulator.connections, 0);
});

test("a failure inside it is told to all connections and all calls, and it can be stopped", async () => {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (module, imports) => {
    const instance = await instantiate(module, imports);
    const trap = () => {
      throw new WebAssembly.RuntimeError("unreachable");
    };
    return { instance: { exports: { ...instance.exports, broker_feed: trap } }, module };
  };
  let emulator;
  try {
    emulator = await Emulator.start();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  const sockets = [1, 2].map(() => new emulator.WebSocket("wss://anywhere/", "AMQPWSB10"));
  await Promise.all(sockets.map((socket) => next(socket, "open")));
  const ends = sockets.map((socket) => Promise.all([next(socket, "error"), next(socket, "close")]));
  sockets[0].send(new Uint8Array(8));
  for (const [error, close] of await Promise.all(ends)) {
    assert.match(error.message, /it failed: RuntimeError: unreachable/);
    assert.equal(close.code, 1011);
    assert.equal(close.wasClean, false);
  }
  assert.throws(() => emulator.hubs(), {
    ...refused("internal", "cannot list the hubs: the emulator failed"),
    cause: new WebAssembly.RuntimeError("unreachable"),
  });
  const late = new emulator.WebSocket("wss://anywhere/", "AMQPWSB10");
  await next(late, "error");
  await emulator.stop();
  assert.equal(emulator.connections, 0);
});

test("it runs where there is no setImmediate, and where there is no MessageChannel either", () => {
  const script = (missing) => `
    for (const name of ${JSON.stringify(missing)}) delete globalThis[name];
    const { Emulator } = await import("${built}/dist/emulator.js");
    const emulator = await Emulator.start();
    const socket = new emulator.WebSocket("wss://anywhere/", "AMQPWSB10");
    socket.binaryType = "arraybuffer";
    await new Promise((open) => (socket.onopen = open));
    socket.send(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0));
    const { data } = await new Promise((message) => (socket.onmessage = message));
    await emulator.stop();
    console.log(data.byteLength > 8, socket.readyState);
    process.on("exit", () => console.log(process.getActiveResourcesInfo().filter((name) => /Timeout|Message/.test(name))));
  `;
  for (const missing of [["setImmediate"], ["setImmediate", "MessageChannel"]]) {
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script(missing)], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.equal(stdout, "true 3\n[]\n", stderr);
  }
});

test("a process ends by itself when nothing is connected, and when it is stopped", () => {
  const script = (end) => `
    import { Emulator } from "${built}/dist/emulator.js";
    const emulator = await Emulator.start();
    const socket = new emulator.WebSocket("wss://anywhere/", "AMQPWSB10");
    await new Promise((open) => (socket.onopen = open));
    ${end}
    process.on("exit", () => console.log(JSON.stringify(process.getActiveResourcesInfo().filter((name) => name === "Timeout"))));
  `;
  for (const end of ["socket.close();", "await emulator.stop();"]) {
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script(end)], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.equal(status, 0, stderr);
    if (end.includes("stop")) assert.equal(stdout.trim(), "[]");
  }
});
