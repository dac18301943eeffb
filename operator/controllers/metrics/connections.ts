/** Metrics of SSH connections. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ConnectionMetrics, ConnectOutcome } from '../../ssh/measured.ts';

/** Known from the beginning, so that the first failure of a kind is an increase. What goes wrong after that, on the connection, is no outcome of it. */
const OUTCOMES: ConnectOutcome[] = [
  ...(['Connected', 'Aborted', 'Other', 'AddressNotFound', 'ConnectionRefused', 'HostUnreachable', 'ConnectTimeout'] as const),
  ...(['HandshakeFailed', 'HostKeyChanged', 'HostKeyUnknown', 'AuthenticationFailed', 'ForwardingRefused', 'ConnectionLost'] as const),
  ...(['InvalidPrivateKey', 'PassphraseRequired', 'WrongPassphrase'] as const),
];

/** @param waiting work on hosts that waits until it may connect; read when it is asked for. */
export function connectionMetrics(registry: Registry, waiting: () => number): ConnectionMetrics {
  const registers = [registry];
  const attempts = new Counter({
    name: 'capremote_ssh_connects_total',
    help: 'Attempts to connect to a host over SSH, through its bastions, by outcome: Connected, Aborted, or the reason of the failure.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of OUTCOMES) attempts.inc({ outcome }, 0);
  const open = new Gauge({ name: 'capremote_ssh_connections_open', help: 'SSH connections to hosts that are open.', registers });
  new Gauge({
    name: 'capremote_ssh_connections_waiting',
    help: 'Machines and entries that wait until fewer SSH connections are open (--max-connections and its kin).',
    registers,
    collect() {
      this.set(waiting());
    },
  });
  return { ended: (outcome) => attempts.inc({ outcome }), open: (change) => open.inc(change) };
}
