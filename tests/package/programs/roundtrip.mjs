// What every project does: send, look around, receive, be refused. The same file in all of them.

const WORDS = ["first", "second", "dritte Strophe: „äöü“"];

/** @param api the exports of `eventhubs` @param options passed to both clients */
export async function roundtrip(api, connectionString, hub, options = {}) {
  const producer = new api.ProducerClient(connectionString, hub, options);
  const sent = await producer.send(
    WORDS.map((body, index) => ({ body, properties: { index } })),
    { partitionId: "0" },
  );
  const partitions = await producer.partitionIds();
  await producer.close();

  const consumer = new api.ConsumerClient(connectionString, hub, options);
  const received = [];
  for await (const event of consumer.receive("0", { from: "earliest" })) {
    received.push({ body: event.text(), index: event.properties.index, sequenceNumber: event.sequenceNumber });
    if (received.length === WORDS.length) break;
  }
  await consumer.close();

  const stranger = new api.ProducerClient(connectionString, "no-such-hub", options);
  const refused = await stranger.send("x").then(
    () => "sent",
    (error) => (error instanceof api.EventHubsError ? error.code : `${error}`),
  );
  await stranger.close();
  return { sent, partitions, received, refused };
}

/** What `roundtrip` returns against a hub of one partition that nobody else writes to. */
export const expected = {
  sent: WORDS.length,
  partitions: ["0"],
  received: WORDS.map((body, index) => ({ body, index, sequenceNumber: index })),
  refused: "not-found",
};
