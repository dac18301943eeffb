/** Host keys that change: refused until a person accepts them, also those of hosts that were installed anew. */
import type { Manifest } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { fingerprintOf, loginsOf } from '../fixtures/hosts.ts';
import { counting, Objects, PREFIX, runsOf } from '../fixtures/objects.ts';
import { conditionOf, type Entry, entryOf, isFree } from '../fixtures/pool.ts';
import { changed, refused, STRANGER } from '../fixtures/host-keys.ts';
import { errorsOf, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'trust';
const PIN = `${PREFIX}/host-key`;
const ACCEPT = `${PREFIX}/accept-host-key`;
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('changed-keys');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'changed-keys', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

const machine = (name: string) => objects.ref('RemoteMachine', name);
const entry = (name: string) => objects.ref('PooledRemoteMachine', name);
const accept = (reference: ReturnType<typeof machine>, fingerprint: string) =>
  environment().client.patch(reference, { metadata: { annotations: { [ACCEPT]: fingerprint } } });
const remove = (name: string) => environment().client.delete(objects.clusterRef('Machine', name));

const withAnnotation = (manifest: Manifest, name: string, value: string): Manifest => ({
  ...manifest,
  metadata: { ...manifest.metadata, annotations: { [name]: value } },
});

describe('a host key', () => {
  const pooled = (name: string, pool: string, metadata: object = {}) => [
    objects.bootstrapData(name, counting()),
    objects.remoteMachine(name, { pool }, metadata),
    objects.machine(name, CLUSTER),
  ];
  beforeAll(async () => {
    const { client, createHost } = environment();
    await client.apply(objects.sshKey('pool-key', await createHost()));
  });

  /** Waits until the condition tells of the change in these words. */
  const waitForWords = (reference: ReturnType<typeof machine>, type: string, says: string[]) =>
    environment().client.waitFor<Entry>(reference, (one) => {
      const condition = conditionOf(one, type);
      return condition?.reason === 'HostKeyChanged' && says.every((part) => condition.message?.includes(part));
    });
  /** A fingerprint that nobody has is accepted: what is expected is told anew, and the key is refused as before. */
  async function acceptStranger(
    on: ReturnType<typeof machine>,
    told: ReturnType<typeof machine>,
    type: string,
    keys: string[],
  ): Promise<void> {
    const [before = '', now = ''] = keys;
    const stranger = await fingerprintOf(STRANGER);
    await accept(on, stranger);
    await waitForWords(told, type, changed(`${before} (ssh-ed25519), ${stranger}`, now));
  }

  sideBySide({
    'that changed under a machine: it stays ready, and its host is cleaned once the key, and not another, is accepted': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      await client.applyAll(objects.explicit('rekeyed', CLUSTER, host, counting(), { cleanUpCommands }));
      const before = await fingerprintOf(host.hostPublicKey);
      expect((await reports.ready('rekeyed')).metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
      await reports.event('rekeyed', 'HostKeyPinned', 'RemoteMachine', [before]);
      await host.rekey();
      const now = await fingerprintOf(host.hostPublicKey);
      const logins = await loginsOf(host);

      await remove('rekeyed');
      const waiting = await reports.expect('rekeyed', refused('CleanedUp', changed(before, now)));
      expect(waiting.status).toMatchObject({ ready: true });
      await acceptStranger(machine('rekeyed'), machine('rekeyed'), 'CleanedUp', [before, now]);
      expect(await loginsOf(host)).toBe(logins);
      expect(await runsOf(host)).toBe(1);
      await accept(machine('rekeyed'), now);
      await client.waitForGone(machine('rekeyed'));
      await reports.event('rekeyed', 'HostKeyAccepted', 'RemoteMachine', [now]);
      expect(await runsOf(host)).toBe(0);
      expect(await host.exists('/var/lib/cluster-api-provider-remote/claim')).toBe(false);
    },

    'that changed, of a host that was installed anew between two machines: passed over, then refused, then a new host once it is accepted':
      async () => {
        const { client, createHosts } = environment();
        const [renewed, spare] = (await createHosts(2)) as [Host, Host];
        await client.applyAll([
          objects.entry('between-a', 'between', renewed, { cleanUpCommands }),
          objects.entry('between-b', 'between', spare, { cleanUpCommands }),
          ...pooled('first', 'between'),
        ]);
        const first = await reports.ready('first');
        expect(entryOf(first)).toBe('between-a');
        await remove('first');
        await client.waitForGone(machine('first'));
        await client.waitFor<Entry>(entry('between-a'), isFree);
        const before = renewed.hostPublicKey;
        await renewed.reimage();
        const [from, to] = [await fingerprintOf(before), await fingerprintOf(renewed.hostPublicKey)];

        await client.applyAll(pooled('second', 'between'));
        expect(entryOf(await reports.ready('second'))).toBe('between-b');
        await reports.event('second', 'HostKeyChanged', 'RemoteMachine', [from, to, 'going on with another host of the pool']);
        const free = await waitForWords(entry('between-a'), 'Reachable', changed(from, to));
        expect(conditionOf(free, 'Ready')).toMatchObject({ status: 'False', reason: 'HostKeyChanged' });
        expect(free.metadata.annotations).toMatchObject({ [PIN]: before });
        expect(free.status?.reserved).toBe(false);

        await client.applyAll(pooled('third', 'between'));
        await reports.expect('third', refused('HostReachable', changed(from, to)));
        await acceptStranger(entry('between-a'), machine('third'), 'HostReachable', [from, to]);
        expect(await loginsOf(renewed)).toBe(0);
        await accept(entry('between-a'), to);
        const third = await reports.ready('third');
        expect(entryOf(third)).toBe('between-a');
        expect(third.metadata.annotations).toMatchObject({ [PIN]: renewed.hostPublicKey });
        const machineID = (await renewed.readFile('/etc/machine-id')).trim();
        expect(third.status?.['host']).toMatchObject({ machineID, hostKey: to });
        expect((first.status?.['host'] as { machineID: string }).machineID).not.toBe(machineID);
        expect(await runsOf(renewed)).toBe(1);
        await reports.event('third', 'HostKeyAccepted', 'RemoteMachine', [to]);
        const pinned = await client.waitFor<Entry>(
          entry('between-a'),
          ({ metadata }) => metadata.annotations?.[PIN] === renewed.hostPublicKey,
        );
        expect(pinned.metadata.annotations).not.toHaveProperty([ACCEPT]);
      },

    'that changed, of a host that was installed anew under its machine: in quarantine when that goes, and a new, clean host once it is accepted':
      async () => {
        const { client, createHost } = environment();
        const host = await createHost();
        const metadata = { annotations: { [`${PREFIX}/cleanup-deadline`]: '1s' } };
        await client.applyAll([objects.entry('under', 'under', host, { cleanUpCommands }), ...pooled('former', 'under', metadata)]);
        await reports.ready('former');
        const before = await fingerprintOf(host.hostPublicKey);
        await host.reimage();
        const now = await fingerprintOf(host.hostPublicKey);

        await remove('former');
        await client.waitForGone(machine('former'));
        const quarantined = await waitForWords(entry('under'), 'Clean', changed(before, now));
        expect(conditionOf(quarantined, 'Ready')).toMatchObject({ status: 'False', reason: 'Quarantined' });
        await client.applyAll(pooled('latter', 'under'));
        await reports.expect('latter', {
          type: 'HostReserved',
          reason: 'WaitingForHost',
          says: ['pool "under"', '1 quarantined'],
          ready: 'Unknown',
        });
        const stranger = await fingerprintOf(STRANGER);
        await accept(entry('under'), stranger);
        await waitForWords(entry('under'), 'Clean', changed(`${before} (ssh-ed25519), ${stranger}`, now));
        expect(await loginsOf(host)).toBe(0);
        await accept(entry('under'), now);
        const latter = await reports.ready('latter');
        expect(latter.status?.['host']).toMatchObject({ hostKey: now });
        expect(await runsOf(host)).toBe(1);
        await reports.event('under', 'HostKeyAccepted', 'PooledRemoteMachine', [now]);
        expect((await client.get(entry('under'))).metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
      },

    'that is accepted before first contact is the only one that is taken, and pinned': async () => {
      const { client, createHost } = environment();
      const host = await createHost();
      const [presented, stranger] = await Promise.all([fingerprintOf(host.hostPublicKey), fingerprintOf(STRANGER)]);
      const accepting = objects
        .explicit('foreseen', CLUSTER, host, counting(), { cleanUpCommands })
        .map((manifest) => (manifest.kind === 'RemoteMachine' ? withAnnotation(manifest, ACCEPT, stranger) : manifest));
      await client.applyAll(accepting);
      await reports.expect('foreseen', refused('HostReachable', changed(stranger, presented)));
      await accept(machine('foreseen'), presented);
      const { metadata } = await reports.ready('foreseen');
      expect(metadata.annotations).toMatchObject({ [PIN]: host.hostPublicKey });
      expect(metadata.annotations).not.toHaveProperty([ACCEPT]);
    },
  });
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
