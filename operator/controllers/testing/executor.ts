/** Hosts for tests: what is asked of them is answered when the test says so. */
import type {
  BootstrapOutcome,
  BootstrapRequest,
  Ended,
  Executor,
  HostAccess,
  Reclaim,
  ReclaimOutcome,
  Work,
} from '../../runner/execution.ts';
import type { HostKey } from '../../ssh/types.ts';

/** One call of the executor that goes on until the test ends it. */
export interface HostCall<R> {
  access: HostAccess;
  work: Work;
  end: (outcome: R) => void;
  fail: (error: unknown) => void;
}
export type BootstrapCall = HostCall<BootstrapOutcome> & { request: BootstrapRequest };
export type ReclaimCall = HostCall<ReclaimOutcome> & { isOurs: Parameters<Executor['reclaim']>[1]; how: Reclaim };

export class FakeExecutor implements Pick<Executor, 'bootstrap' | 'reclaim'> {
  /** Calls that were made, oldest first. */
  readonly bootstraps: BootstrapCall[] = [];
  readonly reclaims: ReclaimCall[] = [];

  bootstrap(access: HostAccess, request: BootstrapRequest, work: Work): Promise<BootstrapOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<BootstrapOutcome>();
    work.signal.addEventListener('abort', () => reject(work.signal.reason as Error));
    this.bootstraps.push({ access, request, work, end: resolve, fail: reject });
    return promise;
  }

  reclaim(access: HostAccess, isOurs: ReclaimCall['isOurs'], work: Work, how: Reclaim = {}): Promise<ReclaimOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<ReclaimOutcome>();
    work.signal.addEventListener('abort', () => reject(work.signal.reason as Error));
    this.reclaims.push({ access, isOurs, how, work, end: resolve, fail: reject });
    return promise;
  }

  /** Calls of both kinds. */
  get calls(): number {
    return this.bootstraps.length + this.reclaims.length;
  }
}

const blob = (type: string, fill: number): Buffer => {
  const field = (content: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, content.length]), content]);
  return Buffer.concat([field(Buffer.from(type)), field(Buffer.alloc(32, fill))]);
};

/** Public keys with their true fingerprints. */
export const PUBLIC_KEYS = [1, 2].map((fill) => `ssh-ed25519 ${blob('ssh-ed25519', fill).toString('base64')}`) as [string, string];

export const STARTED = new Date('2026-01-01T00:00:00Z');

/** A run that ended well, or as `ended` says. */
export const outcome = (hostKey: HostKey, ended: Partial<Extract<Ended, { phase: 'Finished' }>> = {}): BootstrapOutcome => ({
  hostKey,
  facts: { hostname: 'host', machineID: 'abc', hostKey: hostKey.fingerprint },
  ended: { phase: 'Finished', startedAt: STARTED, finishedAt: STARTED, exitCode: 0, sentinel: true, outputTail: '', ...ended },
});
