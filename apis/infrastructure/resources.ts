/** The resources of this group, as the API server names them in paths. */
import { GROUP, STORAGE_VERSION } from './group.ts';

const resource = <K extends string>(kind: K, plural: string) => ({
  group: GROUP,
  version: STORAGE_VERSION,
  plural,
  kind,
  namespaced: true,
});

export const REMOTE_MACHINES = resource('RemoteMachine', 'remotemachines');
export const POOLED_REMOTE_MACHINES = resource('PooledRemoteMachine', 'pooledremotemachines');
export const REMOTE_CLUSTERS = resource('RemoteCluster', 'remoteclusters');
