/** Hosts of machines that vanished without a cleanup, after a takeover, a move or a restored backup: what the entry remembers of them. */
import {
  ADOPTED,
  ANNOTATION,
  ENTRY_FINALIZER,
  MACHINE_FINALIZER,
  PEER_MACHINE_FINALIZER,
  REQUEST,
} from '../../../apis/infrastructure/group.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_MACHINES } from '../../../apis/infrastructure/resources.ts';
import { StoppedClock } from '../testing/clock.ts';
import { ADDRESS, cluster, entry, machine, NAMESPACE, owner, RUN, secret } from '../testing/objects.ts';
import { World } from '../testing/world.ts';
import { settle } from '../remotemachine/provisioned.ts';
import { CLEAN, EntryDriver, held, LIVING } from './testing.ts';

const KEY = secret('key', { value: 'a private key' });
const NOTHING_THERE = { ...CLEAN, ran: false };
const BOUND = { pool: 'p', address: ADDRESS, providerID: `remote-machine://${ADDRESS}:22` };
/** The claim of a machine that was moved or restored since. */
const CLAIM_FROM_BEFORE = { runID: RUN, machine: { namespace: NAMESPACE, name: 'm', uid: 'of-before-the-move' } };
let clock: StoppedClock;
let world: World;
let driver: EntryDriver;
beforeEach(async () => {
  clock = new StoppedClock();
  world = await World.start();
  driver = new EntryDriver(world);
});
afterEach(async () => {
  clock[Symbol.dispose]();
  await world.stop();
});

/** The machine has its host, and what its entry is to know of that. */
async function settled(): Promise<void> {
  const { machine: bound } = world.scope();
  const options = { failureDomain: undefined, startRun: true, clusterName: 'c' };
  expect(await world.deps.allocator.reserve(bound, options)).toMatchObject({ kind: 'reserved' });
  await world.synced();
  await settle(world.deps, world.scope());
  await world.synced();
}

/** By a person who removes its finalizers. */
async function vanish(): Promise<void> {
  await world.patch(REMOTE_MACHINES, 'm', { metadata: { finalizers: null } });
  await world.delete(REMOTE_MACHINES, 'm');
}

/** k0smotron's machine and entry: its host has no claim. */
async function takenOver(): Promise<void> {
  const peers = machine(BOUND, { finalizers: [PEER_MACHINE_FINALIZER], status: { ready: true } });
  await world.create(LIVING, KEY, cluster(), owner(), peers, entry('a', {}, {}, held()));
  await settled();
  expect(world.storedEntry('a').metadata).toMatchObject({ finalizers: [ENTRY_FINALIZER], annotations: { [ANNOTATION.runID]: ADOPTED } });
}

/** A machine that was moved or restored after its bootstrap: its UID is new, the claim on its host has the old one. */
async function restored(): Promise<void> {
  const annotations = { [ANNOTATION.poolEntry]: 'a', [ANNOTATION.runID]: RUN };
  const moved = machine(BOUND, { finalizers: [MACHINE_FINALIZER], annotations, status: { ready: true } });
  await world.create(LIVING, KEY, cluster(), owner(), moved, entry('a', {}, { finalizers: [ENTRY_FINALIZER] }));
  await settled();
}

test('one that was taken over is not free because no claim is on its host', async () => {
  await takenOver();
  await vanish();
  await driver.cleaned(({ end }) => end(NOTHING_THERE));
  expect(driver.told()['Clean']).toBe('False NoCleanupKnown');
  expect(world.storedEntry('a').status).toMatchObject({ reserved: true });
});

test('nor where its entry and Cluster were restored before it', async () => {
  await takenOver();
  await vanish();
  await world.patch(POOLED_REMOTE_MACHINES, 'a', { status: { reserved: null, machineRef: null, conditions: null } }, 'status');
  await driver.cleaned(({ end }) => end(NOTHING_THERE));
  expect(driver.told()['Clean']).toBe('False NoCleanupKnown');
  expect(world.deps.entries.byIndex('free', `${NAMESPACE}/p`)).toEqual([]);
});

test('after a move it is cleaned of its run', async () => {
  await restored();
  await vanish();
  const { isOurs } = await driver.started();
  expect(isOurs(CLAIM_FROM_BEFORE)).toBe(true);
  expect(isOurs({ ...CLAIM_FROM_BEFORE, runID: 'another' })).toBe(false);
});

test('after a move it is given up by release=force so that the next claim takes its place', async () => {
  await restored();
  await vanish();
  await world.patch(POOLED_REMOTE_MACHINES, 'a', { metadata: { annotations: { [REQUEST.release]: 'force' } } });
  await driver.reconcile();
  expect(world.storedEntry('a').metadata.annotations).toEqual({ [ANNOTATION.abandonedRun]: RUN });
});

test('what a machine runs by its next entry is not cleaned as what it left on the last one', async () => {
  // Both entries are one host under two names; the second write, which frees the first, was lost.
  const annotations = { [ANNOTATION.poolEntry]: 'b', [ANNOTATION.runID]: RUN };
  await world.create(LIVING, KEY, cluster(), machine({ pool: 'p', address: 'b' }, { finalizers: [MACHINE_FINALIZER], annotations }));
  const { uid } = world.stored().metadata;
  await world.create(entry('a', {}, {}, held(uid, 'c')));
  const { isOurs } = await driver.started();
  expect(isOurs({ runID: RUN, machine: { namespace: NAMESPACE, name: 'm', uid } })).toBe(false);
  expect(isOurs({ runID: 'of-before-a-retry', machine: { namespace: NAMESPACE, name: 'm', uid } })).toBe(true);
});
