/** Takes lines of a log. */
export interface Debugger {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  (...args: any[]): void;
  enabled: boolean;
  destroy: () => boolean;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  log: (...args: any[]) => void;
  namespace: string;
  extend: (namespace: string) => Debugger;
}

/** A logger of `@azure/logger`, by its shape. */
export interface AzureLogger {
  error: Debugger;
  warning: Debugger;
  info: Debugger;
  verbose: Debugger;
}

/** Writes a line when it is enabled: `logger.warning.enabled = true`. */
function debuggerOf(namespace: string): Debugger {
  const write = Object.assign(
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    (...args: any[]): void => {
      if (write.enabled) write.log(...args);
    },
    {
      enabled: false,
      destroy: () => true,
      // eslint-disable-next-line @typescript-eslint/no-explicit-any
      log: (...args: any[]): void => console.error(namespace, ...args),
      namespace,
      extend: (more: string): Debugger => debuggerOf(`${namespace}:${more}`),
    },
  );
  return write;
}

/**
 * What goes wrong in places where nobody waits for it: handlers that throw. Silent unless it is enabled, level by level; where it
 * writes to can be replaced (`logger.error.log = ...`).
 */
export const logger: AzureLogger = {
  error: debuggerOf("azure:event-hubs:error"),
  warning: debuggerOf("azure:event-hubs:warning"),
  info: debuggerOf("azure:event-hubs:info"),
  verbose: debuggerOf("azure:event-hubs:verbose"),
};
