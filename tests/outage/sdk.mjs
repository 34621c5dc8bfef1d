// The official JavaScript SDK, with its defaults, while the emulator goes away and comes back.

export async function work(api, ledger, { connectionString, hub, partition, group }) {
  const producer = new api.EventHubProducerClient(connectionString, hub);
  const consumer = new api.EventHubConsumerClient(group, connectionString, hub);
  consumer.subscribe(
    partition,
    {
      processEvents: async (events) => {
        for (const event of events) ledger.receive(Number(event.body), event.sequenceNumber);
      },
      processError: async (error) => ledger.tell(`receive: ${error.code ?? error.name}`),
    },
    { startPosition: api.earliestEventPosition },
  );
  await ledger.write(
    (number) => producer.sendBatch([{ body: number }], { partitionId: partition }),
    // It does not say whether what was sent may have been stored.
    (error) => [error.code ?? error.name, true],
  );
  await ledger.end();
}
