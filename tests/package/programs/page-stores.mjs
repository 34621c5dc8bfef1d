// The suite of stores on the browser's own database.
import { IndexedDbCheckpointStore, testCheckpointStore } from "eventhubs/processor";
import { publish } from "./result.mjs";

publish(() => testCheckpointStore(() => new IndexedDbCheckpointStore({ database: "contract" })));
