// What only the emulator in this process can be asked: rhea on its sockets, its end while clients are connected, and a
// page that stays alive meanwhile.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import rhea from "rhea";

import { Clients, eventually, inPage } from "./support.mjs";

const Emulator = inPage.constructor;
const TARGET = "hub149";

/** Options of a client for another emulator than the one that all cases share. */
const via = ({ connectionString, WebSocket }) => ({ connectionString, webSocketOptions: { webSocket: WebSocket } });

/** A rhea connection that is open, with a key by SASL PLAIN. */
async function connect(emulator, { password = "SAS_KEY_VALUE" } = {}) {
  const container = rhea.create_container();
  const connection = container.connect({
    username: "any",
    password,
    connection_details: rhea.websocket_connect(emulator.WebSocket)("wss://rhea.emulator.invalid/", ["AMQPWSB10"]),
    reconnect: false,
  });
  const refused = ["connection_error", "disconnected"].map(async (event) => {
    const [context] = await once(connection, event);
    throw context.connection.error ?? context.error ?? new Error(event);
  });
  // They are awaited until it is open only.
  for (const outcome of refused) outcome.catch(() => {});
  await Promise.race([once(connection, "connection_open"), ...refused]);
  return connection;
}

test("rhea sends and receives", async () => {
  const connection = await connect(inPage);
  const sender = connection.open_sender(`${TARGET}/Partitions/0`);
  await once(sender, "sendable");
  sender.send({ body: "from rhea", application_properties: { number: 7 } });
  await once(sender, "accepted");
  const receiver = connection.open_receiver({
    source: {
      address: `${TARGET}/ConsumerGroups/other/Partitions/0`,
      filter: rhea.filter.selector("amqp.annotation.x-opt-offset > '-1'"),
    },
  });
  const [{ message }] = await once(receiver, "message");
  assert.equal(message.body, "from rhea");
  assert.equal(message.application_properties.number, 7);
  assert.equal(message.message_annotations["x-opt-sequence-number"], 0);
  connection.close();
  await once(connection, "connection_close");
});

test("rhea with a wrong key is refused", async () => {
  await assert.rejects(connect(inPage, { password: "wrong" }), /authenticat|disconnected/i);
});

test("connections are gone when their clients are closed", async () => {
  await eventually(() => inPage.connections === 0, () => `none; there are ${inPage.connections}`);
  const clients = new Clients(TARGET, "in page");
  const [one, two] = [clients.producer(), clients.producer()];
  await Promise.all([one.getPartitionIds(), two.getPartitionIds()]);
  assert.equal(inPage.connections, 2);
  await one.close();
  await eventually(() => inPage.connections === 1, "the first is gone");
  await two.close();
  await eventually(() => inPage.connections === 0, "the second is gone");
});

test("a hub that is deleted is gone for who uses it, and one that is created is there", async () => {
  const clients = new Clients("later", "in page");
  try {
    const producer = clients.producer();
    await assert.rejects(producer.getPartitionIds(), (error) => /later/.test(error.message + error.errors));
    inPage.createHub("later", 2);
    assert.deepEqual(await producer.getPartitionIds(), ["0", "1"]);
    await producer.sendBatch([{ body: "x" }], { partitionId: "1" });
    const reader = clients.reader(clients.consumer(), { partition: "1" });
    await reader.take(1);
    inPage.deleteHub("later");
    assert.equal((await reader.firstError()).code, "MessagingEntityNotFoundError");
    await assert.rejects(producer.sendBatch([{ body: "y" }], { partitionId: "1" }));
  } finally {
    await clients.close();
  }
});

test("what is stored is bounded by dropping the oldest, and by refusing", async () => {
  const emulator = await Emulator.start({ hubs: { small: 2 }, retentionBytes: 100_000, maxBytes: 150_000 });
  const clients = new Clients("small", "in page");
  try {
    const producer = clients.producer(via(emulator));
    const events = Array.from({ length: 20 }, () => ({ body: Buffer.alloc(1000) }));
    for (let batch = 0; batch < 20; batch++) {
      await producer.sendBatch(events, { partitionId: "0" });
      assert.ok(emulator.storedBytes <= 150_000, `${emulator.storedBytes} bytes`);
    }
    const { beginningSequenceNumber, lastEnqueuedSequenceNumber } = await producer.getPartitionProperties("0");
    assert.equal(lastEnqueuedSequenceNumber, 399);
    assert.ok(beginningSequenceNumber > 300, `begins at ${beginningSequenceNumber}`);
    const full = async () => {
      for (let batch = 0; batch < 20; batch++) await producer.sendBatch(events, { partitionId: "1" });
    };
    await assert.rejects(full(), (error) => /150000 bytes/.test(error.message + error.errors));
  } finally {
    await clients.close();
    await emulator.stop();
  }
});

test("stopping says goodbye to who is connected, and what they do then fails", async () => {
  const emulator = await Emulator.start({ hubs: { orders: 2 } });
  const clients = new Clients("orders", "in page");
  const producer = clients.producer(via(emulator));
  await producer.sendBatch([{ body: "before" }], { partitionId: "0" });
  const reader = clients.reader(clients.consumer(via(emulator)), { partition: "0" });
  await reader.take(1);
  const connection = await connect(emulator);
  const goodbye = once(connection, "connection_error");
  assert.equal(emulator.connections, 3);

  const begun = performance.now();
  await emulator.stop();
  assert.ok(performance.now() - begun < 3_000, `took ${performance.now() - begun} ms`);
  const [context] = await goodbye;
  assert.equal(context.connection.error.condition, "amqp:connection:forced");
  assert.equal(emulator.connections, 0);
  await assert.rejects(producer.sendBatch([{ body: "after" }], { partitionId: "0" }));
  await clients.close();
});

test("the page gets its turn while much is sent and received", async () => {
  const clients = new Clients(TARGET, "in page");
  try {
    const producer = clients.producer();
    await producer.getPartitionIds();
    let turns = 0;
    let longest = 0;
    let last = performance.now();
    const turn = setInterval(() => {
      turns += 1;
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const batch = await producer.createBatch({ partitionId: "1" });
    while (batch.count < 500 && batch.tryAdd({ body: Buffer.alloc(1000) }));
    for (let n = 0; n < 20; n++) await producer.sendBatch(batch);
    const reader = clients.reader(clients.consumer(), { partition: "1", maxBatchSize: 500 });
    await reader.take(20 * batch.count);
    clearInterval(turn);
    // Nearly all of a turn is what the SDK does in it; ten megabytes in one would be a second.
    assert.ok(turns >= 20, `${turns} turns`);
    assert.ok(longest < 500, `the longest took ${longest} ms`);
  } finally {
    await clients.close();
  }
});
