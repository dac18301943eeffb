/** Two managers at once, without a leader, over one pool: what they must never do is decided by the API server and the hosts alone. */
import type { AnyObject } from '../env/client.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { INFRASTRUCTURE, Objects } from '../fixtures/objects.ts';
import {
  cleanUpCommands,
  conditionOf,
  type Entry,
  entryOf,
  historic,
  historyOf,
  isCleaned,
  isFree,
  isReady,
  runIDOf,
} from '../fixtures/pool.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const MACHINES = 50;
const HOSTS = 40;
const DELETED = 20;
/** How long is waited for all of them, in ms: no measure of anything on a machine that is busy. */
const WAIT = 120_000;
const POOL = 'race';
const environment = sharedEnvironment('pool-race');
let objects: Objects;
let hosts: Host[];
let managers: Operator[];
const watching = new AbortController();
let watched: Promise<unknown>;

const entryName = (i: number): string => `entry-${String(i).padStart(2, '0')}`;
const machineName = (i: number): string => `machine-${String(i).padStart(2, '0')}`;
const hostOf = (entry: string): Host => hosts[Number(entry.slice(-2))] as Host;
const machines = () => ({ apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', namespace: objects.namespace });
const entries = () => ({ ...machines(), kind: 'PooledRemoteMachine' });
const waitsForHost = (machine: AnyObject): boolean => conditionOf(machine, 'HostReserved')?.reason === 'WaitingForHost';
const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Everything that happened to the bindings, as the watches told it. */
const seen = {
  /** Entry -> UIDs of the machines that its status named; '' while it is free. */
  holders: new Map<string, string[]>(),
  /** Machine -> entries that its annotation named. */
  choices: new Map<string, string[]>(),
  /** Several entries that named one machine at the same moment. */
  doubled: [] as string[],
};

const note = (history: Map<string, string[]>, key: string, value: string): void => {
  const known = history.get(key) ?? [];
  if (known.at(-1) !== value) history.set(key, [...known, value]);
};

async function watchEntries(signal: AbortSignal): Promise<void> {
  for await (const all of environment().client.observe<Entry>(entries(), signal)) {
    const held = all.flatMap(({ status }) => status?.machineRef?.uid ?? []);
    seen.doubled.push(...held.filter((uid, i) => held.indexOf(uid) !== i));
    for (const { metadata, status } of all) note(seen.holders, metadata.name, status?.machineRef?.uid ?? '');
  }
}

async function watchMachines(signal: AbortSignal): Promise<void> {
  for await (const all of environment().client.observe(machines(), signal)) {
    for (const machine of all) {
      const entry = entryOf(machine);
      if (entry !== undefined) note(seen.choices, machine.metadata.name, entry);
    }
  }
}

/** The machines that have a host, each with an entry that names it and no other. */
async function expectOneToOne(bound: AnyObject[]): Promise<void> {
  const all = await environment().client.list<Entry>(entries());
  const pairs = bound.map((machine) => [entryOf(machine), machine.metadata.uid]).sort();
  const reserved = all.filter(({ status }) => status?.reserved === true);
  expect(reserved.map(({ metadata, status }) => [metadata.name, status?.machineRef?.uid]).sort()).toEqual(pairs);
}

/** What the hosts went through, by entry; a cleanup that was taken up by another manager may have been gone through twice. */
async function histories(): Promise<Map<string, string[]>> {
  const read = hosts.map(async (host, i): Promise<[string, string[]]> => {
    const history = await historyOf(host);
    return [entryName(i), history.filter((line, at) => line !== 'clean' || history[at - 1] !== 'clean')];
  });
  return new Map(await Promise.all(read));
}

beforeAll(async () => {
  objects = new Objects(environment().namespace);
  const { namespace } = objects;
  const start = (name: string) => environment().startOperator({ name, namespace, args: ['-v', '2'] });
  const started = performance.now();
  [managers, hosts] = await Promise.all([Promise.all([start('operator-a'), start('operator-b')]), environment().createHosts(HOSTS)]);
  print(`two managers and ${HOSTS} hosts: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  watched = Promise.allSettled([watchEntries(watching.signal), watchMachines(watching.signal)]);
  await environment().client.applyAll([
    objects.sshKey('pool-key', hosts[0] as Host),
    objects.bootstrapData('race', historic(['sleep 0.5'])),
    ...objects.cluster('race'),
  ]);
});

afterAll(async () => {
  watching.abort();
  await watched;
});

test('fifty machines and forty hosts: forty are bound one to one and bootstrapped once, ten wait', async () => {
  const { client } = environment();
  const started = performance.now();
  await Promise.all([
    ...hosts.map((host, i) => client.create(objects.entry(entryName(i), POOL, host, { cleanUpCommands }))),
    ...Array.from({ length: MACHINES }, async (_, i) => {
      await client.create(objects.remoteMachine(machineName(i), { pool: POOL }));
      await client.create(objects.machine(machineName(i), 'race', { bootstrap: { dataSecretName: 'race' } }));
    }),
  ]);
  const created = performance.now();
  const all = await client.waitForAll(
    machines(),
    (found) => found.filter(isReady).length === HOSTS && found.filter(waitsForHost).length === MACHINES - HOSTS,
    WAIT,
  );
  print(
    `objects created in ${((created - started) / 1000).toFixed(1)} s, all settled ${((performance.now() - created) / 1000).toFixed(1)} s later`,
  );
  const bound = all.filter(isReady);
  await expectOneToOne(bound);
  for (const machine of all.filter(waitsForHost)) {
    expect(entryOf(machine)).toBeUndefined();
    expect(conditionOf(machine, 'HostReserved')?.message).toContain(`Waiting for a free host of pool "${POOL}"`);
  }
  const history = await histories();
  for (const machine of bound) expect(history.get(entryOf(machine) ?? '')).toEqual([`run ${runIDOf(machine)}`]);
  // From free to one machine, and nothing else: over the whole time, not just at its end.
  for (const holders of seen.holders.values()) expect(holders.filter((uid) => uid !== '')).toHaveLength(1);
  expect(seen.doubled).toEqual([]);
  const again = [...seen.choices.values()].filter((choices) => choices.length > 1).length;
  print(`machines that lost their first entry to another and chose again: ${again}`);
});

test('a manager that is killed while twenty hosts change hands takes nothing with it', async () => {
  const { client } = environment();
  const before = await client.list(machines());
  const waiting = new Set(before.filter(waitsForHost).map(({ metadata }) => metadata.uid ?? ''));
  const gone = before.filter(isReady).slice(0, DELETED);
  const started = performance.now();
  const underWay = client.waitForAll<Entry>(entries(), (all) => all.some(({ status }) => waiting.has(status?.machineRef?.uid ?? '')));
  await Promise.all(gone.map(({ metadata }) => client.delete(objects.clusterRef('Machine', metadata.name))));
  await underWay;
  await managers[1]?.kill();
  const left = await client.list(machines());
  // Hosts are still being cleaned and taken.
  expect(left.length).toBeGreaterThan(MACHINES - DELETED);
  print(
    `killed a manager ${((performance.now() - started) / 1000).toFixed(1)} s after the deletion, with ${left.length - (MACHINES - DELETED)} machines still there`,
  );
  const after = await client.waitForAll(machines(), (all) => all.length === MACHINES - DELETED && all.every(isReady), WAIT);
  const all = await client.waitForAll<Entry>(entries(), (found) => found.filter(isFree).length === HOSTS - after.length, WAIT);
  print(`everything settled ${((performance.now() - started) / 1000).toFixed(1)} s after the deletion`);
  await expectOneToOne(after);
  const history = await histories();
  const runOf = new Map(before.map((machine) => [entryOf(machine), `run ${runIDOf(machine)}`]));
  const deleted = new Set(gone.map(entryOf));
  for (const machine of after) {
    const entry = entryOf(machine) ?? '';
    const run = `run ${runIDOf(machine)}`;
    expect(history.get(entry)).toEqual(deleted.has(entry) ? [runOf.get(entry), 'clean', run] : [run]);
  }
  for (const { metadata } of all.filter(isFree)) {
    expect(history.get(metadata.name)).toEqual([runOf.get(metadata.name), 'clean']);
    expect(await isCleaned(hostOf(metadata.name))).toBe(true);
  }
  for (const holders of seen.holders.values()) {
    const between = holders.filter((uid, i) => uid !== '' && (holders[i - 1] ?? '') !== '');
    expect(between).toEqual([]);
  }
  expect(seen.doubled).toEqual([]);
});
