import { SSHError, type Connection, type ConnectOptions, type Dialer, type SSHErrorReason, type Target } from './types.ts';

/** How an attempt to connect ended. */
export type ConnectOutcome = 'Connected' | 'Aborted' | 'Other' | SSHErrorReason;

export interface ConnectionMetrics {
  ended(outcome: ConnectOutcome): void;
  /** Connections that are open: one more, or one less. */
  open(change: 1 | -1): void;
}

/** Counts the connections that another dialer makes. */
export class MeasuredDialer implements Dialer {
  readonly #dialer: Dialer;
  readonly #metrics: ConnectionMetrics;

  constructor(dialer: Dialer, metrics: ConnectionMetrics) {
    this.#dialer = dialer;
    this.#metrics = metrics;
  }

  async connect(target: Target, options: ConnectOptions): Promise<Connection> {
    const connection = await this.#dialer.connect(target, options).catch((error: unknown) => {
      this.#metrics.ended(error instanceof SSHError ? error.reason : options.signal.aborted ? 'Aborted' : 'Other');
      throw error;
    });
    this.#metrics.ended('Connected');
    this.#metrics.open(1);
    let isOpen = true;
    return {
      hostKey: connection.hostKey,
      exec: (execution) => connection.exec(execution),
      close: async () => {
        await connection.close();
        if (isOpen) this.#metrics.open(-1);
        isOpen = false;
      },
    };
  }
}
