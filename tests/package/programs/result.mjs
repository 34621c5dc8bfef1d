// How a page, or a worker for it, tells the test what came out.

/** Leaves what `make` resolves to in `globalThis.result`. */
export async function publish(make) {
  globalThis.result = await outcome(make);
}

/** `{ value }` or `{ error }`, as plain data. */
export function outcome(make) {
  return Promise.resolve()
    .then(make)
    .then(
      (value) => ({ value }),
      (error) => ({ error: `${error?.stack ?? error}` }),
    );
}
