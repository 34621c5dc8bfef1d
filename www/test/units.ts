/** The parts of the console that need no page, in one bundle: Node 20 reads no TypeScript. */
import "./units/list.test.ts";
import "./units/reading.test.ts";
import "./units/settings.test.ts";
import "./units/composing.test.ts";
import "./units/words.test.ts";
import "./units/status.test.ts";
