/** Opens a database of the first version. `forget` is called when it must not be used any more: somebody deletes it, or it was taken away. */
export async function openDatabase(name: string, make: (database: IDBDatabase) => void, forget: () => void): Promise<IDBDatabase> {
  if (typeof indexedDB === "undefined") throw new Error("there is no IndexedDB here");
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => make(request.result);
  const database = await answer<IDBDatabase>(request);
  const letGo = (): void => {
    database.close();
    forget();
  };
  database.onversionchange = letGo;
  database.onclose = letGo;
  return database;
}

/** What a request resolves to. */
export function answer<R>(request: IDBRequest): Promise<R> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as R);
    request.onerror = () => reject(request.error ?? new Error("the request failed"));
  });
}
