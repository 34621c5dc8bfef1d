// A page whose worker does the work; the form that bundlers know.
import { publish } from "./result.mjs";

publish(
  () =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
      worker.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data.value));
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(Object.fromEntries(new URL(location.href).searchParams));
    }),
);
