/** Which host an object means: address:port, IPv6 in brackets, with the bastions before it. Two objects with one identity mean one host. */
import { isIPv6 } from 'node:net';
import { DEFAULT_PORT } from '../../apis/infrastructure/connection.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../apis/infrastructure/kinds.ts';

interface Endpoint {
  address: string;
  port?: number | undefined;
}

/** `address:port` with IPv6 in brackets and in its one short form (RFC 5952); names in lower case. */
export function endpointOf({ address, port }: Endpoint): string {
  const bare = address.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  return `${bare.includes(':') ? `[${shortened(bare)}]` : bare}:${port ?? DEFAULT_PORT}`;
}

/** URLs have IPv6 addresses in that form; one with a zone, which they don't have, stays as it is. */
function shortened(address: string): string {
  return isIPv6(address) && !address.includes('%') ? new URL(`ssh://[${address}]`).hostname.slice(1, -1) : address;
}

/** Hosts behind different bastions may share an address, so the bastions are part of it. */
export function identityOf(host: Endpoint & { bastions?: Endpoint[] | undefined }): string {
  return [...(host.bastions ?? []), host].map(endpointOf).join('>');
}

export function identityOfMachine(machine: RemoteMachine): string | undefined {
  const spec = machine.spec;
  return spec?.address === undefined ? undefined : identityOf({ ...spec, address: spec.address });
}

export function identityOfEntry(entry: PooledRemoteMachine): string | undefined {
  return entry.spec === undefined ? undefined : identityOf(entry.spec.machine);
}

/** The provider ID of a host, `remote-machine://<address>:<port>`; the address as it was given, as k0smotron's provider writes it. */
export function providerIDOf({ address, port }: Endpoint): string {
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  return `remote-machine://${bare.includes(':') ? `[${bare}]` : bare}:${port ?? DEFAULT_PORT}`;
}
