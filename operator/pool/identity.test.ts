import fc from 'fast-check';
import { endpointOf, identityOf, identityOfEntry, identityOfMachine, providerIDOf } from './identity.ts';
import { entry, machine } from './testing/objects.ts';

test.each([
  [{ address: '10.0.0.1' }, '10.0.0.1:22', 'remote-machine://10.0.0.1:22'],
  [{ address: '10.0.0.1', port: 2222 }, '10.0.0.1:2222', 'remote-machine://10.0.0.1:2222'],
  [{ address: 'Host.Example.COM' }, 'host.example.com:22', 'remote-machine://Host.Example.COM:22'],
  [{ address: 'fd00::1' }, '[fd00::1]:22', 'remote-machine://[fd00::1]:22'],
  [{ address: '[FD00::1]', port: 23 }, '[fd00::1]:23', 'remote-machine://[FD00::1]:23'],
  [{ address: 'fd00:0:0:0:0:0:0:1' }, '[fd00::1]:22', 'remote-machine://[fd00:0:0:0:0:0:0:1]:22'],
  [{ address: 'fe80::1%eth0' }, '[fe80::1%eth0]:22', 'remote-machine://[fe80::1%eth0]:22'],
])('%j is %s', (endpoint, identity, providerID) => {
  expect(endpointOf(endpoint)).toBe(identity);
  expect(identityOf(endpoint)).toBe(identity);
  expect(providerIDOf(endpoint)).toBe(providerID);
});

test('a port that is not set is 22, in both kinds', () => {
  expect(identityOfMachine(machine('m', { spec: { address: 'h' } }))).toBe('h:22');
  expect(identityOfEntry(entry('e', { spec: { machine: { address: 'h', port: 22 } } }))).toBe('h:22');
  expect(identityOfMachine(machine('m', { spec: { pool: 'p' } }))).toBeUndefined();
});

test('hosts behind different bastions are different hosts', () => {
  const behind = (...bastions: { address: string; port?: number }[]) => identityOf({ address: '10.0.0.1', bastions });
  expect(behind({ address: 'B1' }, { address: 'b2', port: 2222 })).toBe('b1:22>b2:2222>10.0.0.1:22');
  expect(new Set([behind(), behind({ address: 'b1' }), behind({ address: 'b2' }), behind({ address: 'b1' }, { address: 'b2' })]).size).toBe(
    4,
  );
});

test('the same endpoints have the same identity, others another', () => {
  const endpoint = fc.record({ address: fc.oneof(fc.ipV4(), fc.domain()), port: fc.integer({ min: 1, max: 65535 }) });
  fc.assert(
    fc.property(endpoint, endpoint, (a, b) => {
      const same = a.address.toLowerCase() === b.address.toLowerCase() && a.port === b.port;
      expect(identityOf(a) === identityOf(b)).toBe(same);
      expect(identityOf({ ...a, address: a.address.toUpperCase() })).toBe(identityOf(a));
      expect(identityOf({ ...a, bastions: [b] })).not.toBe(identityOf(a));
    }),
  );
});
