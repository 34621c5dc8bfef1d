// One measurement in Chromium. ../README.md says what it takes and prints.

import { open, withBrowser } from "./browser.mjs";
import { startServer } from "./raw.mjs";
import { job as arguments_, report } from "./support.mjs";

const job = arguments_();

await report(async () => {
  const server = job.sdk === "raw" ? await startServer() : undefined;
  return withBrowser(job.sdk, async (browser, address) => {
    const page = await open(browser, address);
    const work = async (job) => {
      const started = performance.now();
      const { measure } = await globalThis.load(job.sdk);
      return measure({ ...job, started });
    };
    return page.evaluate(work, { ...job, url: server?.url });
  }).finally(() => server?.stop());
});
