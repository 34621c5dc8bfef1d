// What the programs have in common.

import { parseArgs } from "node:util";

/** Nothing that is measured takes this long: what does hangs. */
const DEADLINE_MS = 240_000;

/** The arguments of every program. */
export function job() {
  const { values } = parseArgs({
    options: {
      "connection-string": { type: "string" },
      hub: { type: "string" },
      partition: { type: "string", default: "0" },
      sdk: { type: "string", default: "ours" },
      transport: { type: "string", default: "ws" },
      case: { type: "string" },
      size: { type: "string", default: "1024" },
      warmup: { type: "string", default: "0" },
      count: { type: "string", default: "10000" },
      rate: { type: "string", default: "50000" },
      seconds: { type: "string", default: "10" },
      trace: { type: "string" },
    },
  });
  const { "connection-string": connectionString, size, warmup, count, rate, seconds, ...rest } = values;
  return {
    connectionString,
    size: Number(size),
    warmup: Number(warmup),
    count: Number(count),
    rate: Number(rate),
    seconds: Number(seconds),
    ...rest,
  };
}

/** Prints what `work` resolves to as the program's line, or says what failed. Ends the process: SDKs leave timers behind. */
export async function report(work) {
  setTimeout(() => fail(new Error(`nothing after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS).unref();
  try {
    console.log(JSON.stringify(await work()));
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  const errors = error?.errors?.length > 0 ? error.errors : [error];
  console.error(errors.map((each) => String(each?.message || each?.text || each).replaceAll("\n", " ")).join("; "));
  process.exit(1);
}
