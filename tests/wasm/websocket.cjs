// Loaded before the tests in Node. Node 20 has no WebSocket, later ones tell less about what went wrong than the package.
globalThis.WebSocket = require("ws").WebSocket;
