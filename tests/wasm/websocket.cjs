// Loaded before the tests in Node: gives it the WebSocket that Node 20 lacks.
globalThis.WebSocket ??= require("ws").WebSocket;
