/** Everything that is stored, partition by partition; the consumer is closed. */
export async function stored(consumer) {
  const texts = [];
  for (const partitionId of await consumer.partitionIds()) {
    const { lastEnqueuedSequenceNumber: last } = await consumer.partitionProperties(partitionId);
    if (last < 0) continue;
    for await (const event of consumer.receive(partitionId, { from: "earliest" })) {
      texts.push(event.text());
      if (event.sequenceNumber >= last) break;
    }
  }
  await consumer.close();
  return texts;
}
