// The suite of stores on the browser's own database, with the browser's locks and without.
import { IndexedDbCheckpointStore, testCheckpointStore } from "eventhubs/processor";
import { publish } from "./result.mjs";

const locks = new URL(location.href).searchParams.get("locks");
if (locks === "none") Object.defineProperty(navigator, "locks", { value: undefined });
publish(() => testCheckpointStore(() => new IndexedDbCheckpointStore({ database: `contract-${locks}` })));
