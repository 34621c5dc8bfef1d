// What `import.meta.url` says, for CommonJS.
export const __moduleUrl = require("node:url").pathToFileURL(__filename).href;
