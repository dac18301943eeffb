import type { IncomingMessage } from 'node:http';
import type { Registry } from 'prom-client';
import type { Logger } from './types.ts';

export interface HealthOptions {
  /** --health-addr: `host:port` or `:port`. Default :9440. */
  address?: string;
  /** --diagnostics-address, only with --insecure-diagnostics. */
  diagnostics?: { address: string; registry: Registry; authorize?: (request: IncomingMessage) => Promise<boolean> };
  log: Logger;
}
export declare class HealthServer {
  constructor(options: HealthOptions);
  /** A reason why it is not ready, undefined when it is. Set by RemoteOperator. */
  notReady: () => string | undefined;
  start(): Promise<void>;
  stop(): Promise<void>;
}
