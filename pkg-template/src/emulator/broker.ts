// The broker in its wasm instance. Each emulator has an instance of its own: what one does with its memory, or a
// failure in it, concerns no other, and dropping it gives all of its memory back.

import load from "#load-emulator";
import { instantiate, type Broker, type BrokerConfig, type BrokerFault } from "../wasm/eventhubs-emulator.js";
import { emulatorError, EventHubsError } from "./error.js";
import type { Settings } from "./options.js";
import { now } from "../internal/tasks.js";

export type { Broker, BrokerFault };

/** A broker, and what of its instance is needed to tell it of faults. */
export interface Started {
  broker: Broker;
  /** The class of what is to go wrong. */
  Fault: new () => BrokerFault;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** A namespace with the hubs of its settings. */
export async function startBroker(name: string, settings: Settings): Promise<Started> {
  compiled ??= load();
  let module: WebAssembly.Module;
  try {
    module = await compiled;
  } catch (error) {
    // The next attempt may fare better: the network may be back.
    compiled = undefined;
    throw error;
  }
  const { Broker, BrokerConfig, BrokerFault } = await instantiate(module);
  return refusals("start the emulator", name, () => {
    const broker = new Broker(config(new BrokerConfig(name), settings), now(), Date.now());
    for (const hub of settings.hubs) broker.createHub(hub.name, hub.partitions, hub.consumerGroups, now(), Date.now());
    return { broker, Fault: BrokerFault };
  });
}

/** Runs `work`; what the broker refuses is thrown as an error for people. */
export function refusals<T>(operation: string, entity: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (typeof thrown !== "string") throw thrown;
    const [, code = "internal", text = thrown] = /^([a-z-]+): (.*)$/s.exec(thrown) ?? [];
    throw emulatorError(code as EventHubsError["code"], text, { operation, entity });
  }
}

function config(config: BrokerConfig, settings: Settings): BrokerConfig {
  config.retention(settings.retentionMs ?? NaN, settings.retentionBytes ?? NaN);
  config.limits(settings.maxBytes ?? NaN, settings.maxMessageBytes ?? NaN, settings.maxConnections ?? NaN, NaN);
  config.acceptAnyToken(settings.acceptAnyToken);
  for (const { name, key, send, listen, manage } of settings.keys) config.rule(name, key, send, listen, manage);
  return config;
}
