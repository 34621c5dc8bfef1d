/**
 * Azure Event Hubs for every JavaScript: send and receive over WebSockets.
 *
 * @module
 */

import load, { webSocket } from "#load";
import { useSource } from "./internal/engine.js";

useSource({ module: load, webSocket });

export * from "./core.js";
