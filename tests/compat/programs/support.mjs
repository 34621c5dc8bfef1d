// What the programs have in common. They print what is the same with every SDK; what is not (ids, times) the test evens out.

export const connectionString = process.env.CONNECTION_STRING;
export const eventHubName = process.env.EVENT_HUB;
export const consumerGroup = "$Default";

/** A second attempt comes at once, and not after half a minute. */
export const retryOptions = { maxRetries: 1, retryDelayInMs: 50, timeoutInMs: 20_000 };
export const options = { retryOptions };

/** Prints one line; properties in one order, whatever theirs is. */
export function say(what, value) {
  const shown = (_, each) => {
    if (each === undefined) return "<undefined>";
    const isPlain = Object.prototype.toString.call(each) === "[object Object]";
    return isPlain ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each;
  };
  console.log(`${what}: ${JSON.stringify(value, shown)}`);
}

/** A promise, and what settles it. */
export function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

/** Subscribes until `count` events have come; then closes the subscription, and gives them as `[partition, event]`. */
export async function receive(client, count, subscribe) {
  const received = [];
  const done = deferred();
  const subscription = subscribe({
    processEvents: async (events, context) => {
      for (const event of events) received.push([context.partitionId, event]);
      if (received.length >= count) done.resolve();
    },
    processError: async (error) => done.reject(error),
  });
  await done.promise;
  await subscription.close();
  return received.slice(0, count);
}
