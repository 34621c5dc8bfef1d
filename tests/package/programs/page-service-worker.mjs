// A page whose service worker does the work.
import { publish } from "./result.mjs";

publish(async () => {
  await navigator.serviceWorker.register("./service-worker.js", { type: "module" });
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage(Object.fromEntries(new URL(location.href).searchParams), [port2]);
  const answer = await answered;
  if ("error" in answer) throw new Error(answer.error);
  return answer.value;
});
