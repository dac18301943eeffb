/** Entries and machines as tests of the pool need them, and caches that hold them. */
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { ObjectStore } from '../../framework/cache.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import { ENTRY_INDEXES, MACHINE_INDEXES } from '../indexes.ts';
import { replace } from '../../framework/testing/store.ts';

interface Given {
  metadata?: object;
  spec?: object;
  status?: object;
}

const metadataOf = (name: string, given: object | undefined): RemoteMachine['metadata'] => ({
  namespace: 'default',
  name,
  uid: `uid of ${name}`,
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
  ...given,
});

/** Entry of pool `p`, host 10.0.0.1 if not said otherwise. */
export const entry = (name: string, { metadata, spec, status }: Given = {}): PooledRemoteMachine => ({
  apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta2',
  kind: 'PooledRemoteMachine',
  metadata: metadataOf(name, metadata),
  spec: { pool: 'p', machine: { address: '10.0.0.1' }, ...spec },
  ...(status && { status: status }),
});

/** Entry of pool `p` whose host is `host-<name>`. */
export const host = (name: string, rest: Given = {}): PooledRemoteMachine =>
  entry(name, { ...rest, spec: { machine: { address: `host-${name}`, sshKeyRef: { name: 'key' } }, ...rest.spec } });

/** Machine of pool `p` if not said otherwise. */
export const machine = (name: string, { metadata, spec = { pool: 'p' }, status }: Given = {}): RemoteMachine => ({
  apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta2',
  kind: 'RemoteMachine',
  metadata: metadataOf(name, metadata),
  spec: spec,
  ...(status && { status: status }),
});

export function entryCache(entries: PooledRemoteMachine[] = []): ObjectStore<PooledRemoteMachine> {
  const store = new ObjectStore<PooledRemoteMachine>({ log: new MemoryLogger(), freeze: true, indexers: ENTRY_INDEXES });
  replace(store, structuredClone(entries), '1');
  return store;
}

export function machineCache(machines: RemoteMachine[] = []): ObjectStore<RemoteMachine> {
  const store = new ObjectStore<RemoteMachine>({ log: new MemoryLogger(), freeze: true, indexers: MACHINE_INDEXES });
  replace(store, structuredClone(machines), '1');
  return store;
}
