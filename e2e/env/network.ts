/** The hosts' network: a bridge of the run's own with a private /16, and a network namespace for each host. */
import { must } from './command.ts';
import { record, type Run } from './run.ts';

export interface Network {
  bridge: string;
  /** First two bytes of every address, such as 10.130. */
  prefix: string;
}

/** A host's place in the network. */
export interface Port {
  namespace: string;
  link: string;
  address: string;
  mac: string;
}

/** Makes the bridge, with an address for this machine, in a subnet that no route of this machine touches. */
export async function createNetwork(run: Run): Promise<Network> {
  const routes = JSON.parse(await must('ip', ['-json', '-4', 'route', 'show', 'table', 'all'])) as { dst: string }[];
  const prefix = freePrefix(
    routes.map(({ dst }) => dst),
    run.index,
  );
  const bridge = `capr${run.index}`;
  await removeLeftovers(bridge);
  record(run, { kind: 'link', name: bridge });
  await batch([`link add ${bridge} type bridge`, `addr add ${gateway(prefix)}/16 dev ${bridge}`, `link set ${bridge} up`]);
  return { bridge, prefix };
}

/** What workers of an earlier run made when that had been taken away already: nobody else has names of this run's. */
async function removeLeftovers(bridge: string): Promise<void> {
  const named = async (kind: 'link' | 'netns', field: string): Promise<string[]> => {
    const list = JSON.parse((await must('ip', ['-json', kind, 'show'])) || '[]') as Record<string, string>[];
    return list.map((one) => one[field] ?? '').filter((name) => name === bridge || name.startsWith(`${bridge}-`));
  };
  const [links, namespaces] = [await named('link', 'ifname'), await named('netns', 'name')];
  const commands = [...links.map((name) => `link del ${name}`), ...namespaces.map((name) => `netns del ${name}`)];
  if (commands.length > 0) await batch(commands, ['-force']);
}

/** This machine's address on the bridge. */
export const gateway = (prefix: string): string => `${prefix}.0.1`;

/**
 * A /16 of 10.0.0.0/8 that overlaps no destination. Runs that start at once see the same routes, so the search begins at a place of
 * the run's own.
 * @param destinations of routes: `default`, an address, or address/length.
 */
export function freePrefix(destinations: string[], index: number): string {
  const taken = destinations.flatMap((destination) => {
    const [address = '', length = '32'] = destination.split('/');
    const [a, b] = address.split('.').map(Number);
    return a === undefined || b === undefined || Number.isNaN(a) || length === '0'
      ? []
      : [{ value: (a << 8) | b, bits: Math.min(Number(length), 16) }];
  });
  for (let tried = 0; tried < 100; tried++) {
    const second = 130 + ((index + tried * 7) % 100);
    const value = (10 << 8) | second;
    if (!taken.some((other) => value >> (16 - other.bits) === other.value >> (16 - other.bits))) return `10.${second}`;
  }
  throw new Error('every subnet from 10.130.0.0/16 to 10.229.0.0/16 overlaps a route of this machine');
}

/** Place number `number` (from 1) in the network. */
export function portOf(run: Run, { prefix }: Network, number: number): Port {
  if (number < 1 || number > 250 * 254) throw new RangeError(`no address for host ${number}`);
  const [third, fourth] = [1 + Math.floor((number - 1) / 250), 1 + ((number - 1) % 250)];
  const hex = [Number(prefix.split('.')[1]), third, fourth].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  return {
    namespace: `capr${run.index}-${number}`,
    link: `capr${run.index}-${number}`,
    address: `${prefix}.${third}.${fourth}`,
    mac: `02:ca:0a:${hex}`,
  };
}

/** Makes the namespace and plugs it into the bridge. */
export async function plug(run: Run, network: Network, port: Port): Promise<void> {
  record(run, { kind: 'network namespace', name: port.namespace });
  record(run, { kind: 'link', name: port.link });
  await batch([
    `netns add ${port.namespace}`,
    `link add ${port.link} type veth peer name eth0 address ${port.mac} netns ${port.namespace}`,
    `link set ${port.link} master ${network.bridge} up`,
  ]);
  await batch(
    ['link set lo up', `addr add ${port.address}/16 dev eth0`, 'link set eth0 up', `route add default via ${gateway(network.prefix)}`],
    ['-netns', port.namespace],
  );
}

/** The opposite, at once: what is on its way is lost, and nobody is told. */
export const unplug = (port: Port): Promise<void> => batch([`link del ${port.link}`, `netns del ${port.namespace}`]);

/** Pulls the cable or puts it back. */
export const setLink = (port: Port, state: 'up' | 'down'): Promise<void> => batch([`link set ${port.link} ${state}`]);

async function batch(commands: string[], options: string[] = []): Promise<void> {
  await must('ip', [...options, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
