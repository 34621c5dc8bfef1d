// One of several tabs that share an outbox, and go at any moment.
import { ConsumerClient, ProducerClient } from "eventhubs/inline";
import { Outbox } from "eventhubs/outbox";
import { stored } from "./stored.mjs";

const asked = new URL(location.href).searchParams;
const connection = { connectionString: asked.get("connectionString"), eventHub: asked.get("hub") };
const producer = new ProducerClient({ ...connection, idempotent: true, retry: { maxAttempts: 1, attemptTimeoutMs: 2000 } });
const outbox = await Outbox.open(producer);
/** Later loads of a tab have larger numbers. */
const life = Math.round(performance.timeOrigin * 1000);

globalThis.tab = {
  outbox,
  /** Enqueues for as long as there is a tab: the keys' events one after the other. */
  enqueue: (keys) => {
    for (const key of keys) void endless(key);
  },
  stored: () => stored(new ConsumerClient(connection)),
  /** Keeps a copy of the outbox' database, as a backup of the browser's profile would. */
  backUp: async () => copy(await database(), "copy"),
  /** Makes the database again what it was then. */
  putBack: async () => copy("copy", await database()),
};

async function database() {
  const all = await indexedDB.databases();
  return all.find(({ name }) => name.startsWith("eventhubs-outbox:")).name;
}

async function copy(from, to) {
  const source = await opened(from, () => undefined);
  const stores = await Promise.all(
    [...source.objectStoreNames].map(async (name) => {
      const store = source.transaction(name).objectStore(name);
      const [keys, values] = await Promise.all([answered(store.getAllKeys()), answered(store.getAll())]);
      return { name, keyPath: store.keyPath, keys, values };
    }),
  );
  const target = await opened(to, (database) => {
    for (const { name, keyPath } of stores) database.createObjectStore(name, { keyPath });
  });
  const transaction = target.transaction(stores.map(({ name }) => name), "readwrite");
  const through = new Promise((resolve, reject) => Object.assign(transaction, { oncomplete: resolve, onabort: reject }));
  for (const { name, keyPath, keys, values } of stores) {
    const store = transaction.objectStore(name);
    store.clear();
    values.forEach((value, index) => store.put(value, keyPath === null ? keys[index] : undefined));
  }
  await through;
  source.close();
  target.close();
}

function opened(name, make) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => make(request.result);
  return answered(request);
}

function answered(request) {
  return new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
}

async function endless(key) {
  for (let number = 0; ; number += 1) {
    const text = `${key}:${life}:${number}`;
    await outbox.enqueue({ body: text, partitionKey: key });
    // Not before the test has heard it: told faster than it listens, it would hear of nothing else for minutes.
    await globalThis.kept(text);
  }
}
