import type { KubeConfig } from '@kubernetes/client-node';
import type { KubernetesObject } from '../../apis/meta.ts';
import type { Controller } from './controller.ts';
import type { HealthServer } from './health.ts';
import type { Informer } from './informer.ts';
import type { LeaderElector } from './leader-election.ts';
import type { Logger } from './types.ts';

export interface RemoteOperatorOptions {
  config: KubeConfig;
  log: Logger;
  informers: readonly Pick<Informer<KubernetesObject>, 'run' | 'synced' | 'resource'>[];
  controllers: readonly Controller[];
  leaderElection?: LeaderElector;
  health?: HealthServer;
  /** Called in order after the workers ended and before the lease is given up: BackgroundTasks.shutDown, EventSink.drain. */
  cleanups?: readonly (() => Promise<void>)[];
}
/** start(): resolves when informers and health run (a standby is running). stop(): resolves when all ended. `ended`: why. */
export declare class RemoteOperator {
  constructor(options: RemoteOperatorOptions);
  readonly ended: Promise<'stopped' | 'lost leadership'>;
  start(): Promise<void>;
  stop(): Promise<void>;
}
