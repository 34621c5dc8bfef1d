// One measurement in Chromium. ../README.md says what it takes and prints.

import { open, withBrowser } from "./browser.mjs";
import { job as arguments_, report } from "./support.mjs";

const job = arguments_();

await report(() =>
  withBrowser(job.sdk, async (browser, address) => {
    const page = await open(browser, address);
    return page.evaluate(async (job) => {
      const started = performance.now();
      const { measure } = await globalThis.load(job.sdk);
      return measure({ ...job, started });
    }, job);
  }),
);
