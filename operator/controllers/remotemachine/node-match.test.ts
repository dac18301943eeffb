import fc from 'fast-check';
import type { Node } from '../../../apis/meta.ts';
import { type HostIdentity, matchNode } from './node-match.ts';

interface Facts {
  name: string;
  machineID?: string | undefined;
  hostname?: string | undefined;
  address?: string | undefined;
  providerID?: string | undefined;
}
const node = ({ name, machineID, hostname, address, providerID }: Facts): Node =>
  ({
    metadata: { name },
    spec: providerID === undefined ? {} : { providerID },
    status: {
      nodeInfo: { machineID },
      addresses: [
        ...(hostname === undefined ? [] : [{ type: 'Hostname', address: hostname }]),
        ...(address === undefined ? [] : [{ type: 'InternalIP', address }]),
      ],
    },
  }) as unknown as Node;
const host: HostIdentity = { machineID: 'id', hostname: 'host', addresses: ['10.0.0.1'], providerID: 'remote-machine://10.0.0.1:22' };

test.each<[string, Facts[], HostIdentity, string]>([
  ['by machine-id', [{ name: 'a', machineID: 'id' }, { name: 'host' }], host, 'patch a'],
  [
    'clones by hostname',
    [
      { name: 'a', machineID: 'id' },
      { name: 'b', machineID: 'id', hostname: 'host' },
    ],
    host,
    'patch b',
  ],
  ['by the name of the Node', [{ name: 'host' }, { name: 'b' }], host, 'patch host'],
  [
    'namesakes by address',
    [
      { name: 'a', hostname: 'host' },
      { name: 'b', hostname: 'host', address: '10.0.0.1' },
    ],
    host,
    'patch b',
  ],
  [
    'by address alone',
    [
      { name: 'a', address: '10.0.0.1' },
      { name: 'b', address: '10.0.0.2' },
    ],
    host,
    'patch a',
  ],
  ['an empty provider ID may be set', [{ name: 'a', machineID: 'id', providerID: '' }], host, 'patch a'],
  [
    'it is set',
    [
      { name: 'a', providerID: host.providerID },
      { name: 'b', machineID: 'id' },
    ],
    host,
    'set a',
  ],
  ['no Node', [], host, 'WaitingForNode'],
  ['none of this host', [{ name: 'a', machineID: 'x', hostname: 'y', address: '10.0.0.9' }], host, 'WaitingForNode'],
  [
    'two that nothing tells apart',
    [
      { name: 'a', machineID: 'id' },
      { name: 'b', machineID: 'id' },
    ],
    host,
    'NodeAmbiguous',
  ],
  ["another's", [{ name: 'a', machineID: 'id', providerID: 'aws:///x' }], host, 'NodeHasOtherProviderID'],
  [
    'nothing is known',
    [{ name: 'a' }, { name: 'b' }],
    { ...host, machineID: undefined, hostname: undefined, addresses: [] },
    'WaitingForNode',
  ],
])('%s', (_name, facts, identity, expected) => {
  const match = matchNode(facts.map(node), identity);
  expect(match.kind === 'none' ? match.reason : `${match.kind} ${match.node.metadata.name}`).toBe(expected);
});

test('an ambiguity names the Nodes', () => {
  const match = matchNode([node({ name: 'a', machineID: 'id' }), node({ name: 'b', machineID: 'id' })], host);
  expect(match).toMatchObject({ message: 'Several Nodes could be this host: a, b' });
});

test('a Node is patched only if it has no provider ID and no other Node fits as well', () => {
  const maybe = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
  const facts = fc.record({
    machineID: maybe('id', 'other'),
    hostname: maybe('host', 'other'),
    address: maybe('10.0.0.1', '10.0.0.2'),
    providerID: maybe('', 'elsewhere'),
  });
  const rank = ({ machineID, hostname, address }: Omit<Facts, 'name'>): number[] => [
    Number(machineID === 'id'),
    Number(hostname === 'host'),
    Number(address === '10.0.0.1'),
  ];
  fc.assert(
    fc.property(fc.array(facts, { maxLength: 5 }), (all) => {
      const nodes = all.map((one, i) => node({ name: `n${i}`, ...one }));
      const match = matchNode(nodes, host);
      if (match.kind !== 'patch') return;
      const chosen = all[nodes.indexOf(match.node)];
      expect(chosen?.providerID ?? '').toBe('');
      const twins = all.filter((one) => String(rank(one)) === String(rank(chosen ?? {})));
      expect(twins).toHaveLength(1);
      expect(rank(chosen ?? {})).toContain(1);
    }),
    { numRuns: 1000 },
  );
});
