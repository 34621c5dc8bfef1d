// A program written for @azure/event-hubs: send a batch, subscribe, close.

/** @param api the exports of `eventhubs/compat` */
export async function compat(api, connectionString, hub, options = {}) {
  const producer = new api.EventHubProducerClient(connectionString, hub, options);
  const batch = await producer.createBatch({ partitionId: "0" });
  for (const n of [1, 2, 3]) batch.tryAdd({ body: { n } });
  await producer.sendBatch(batch);
  await producer.close();

  const consumer = new api.EventHubConsumerClient("$Default", connectionString, hub, options);
  const received = [];
  await new Promise((resolve, reject) => {
    const subscription = consumer.subscribe(
      {
        processEvents: async (events) => {
          for (const event of events) received.push(event.body.n);
          if (received.length === 3) subscription.close().then(resolve, reject);
        },
        processError: async (error) => reject(error),
      },
      { startPosition: api.earliestEventPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 1 },
    );
  });
  await consumer.close();
  return received;
}

export const expectedOfCompat = [1, 2, 3];
