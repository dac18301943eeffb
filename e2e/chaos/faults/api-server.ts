/** The API server and the way to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verdict } from '../../env/api-proxy.ts';
import { compactEtcd } from '../../env/etcd.ts';
import type { Fault, Scene } from './fault.ts';

/** A part of the requests gets this answer. */
const answers = (name: string, verdict: Verdict, percent: number, methods?: string[]): Fault => ({
  name,
  lasts: 4_000,
  begin: ({ world: { proxy }, random }: Scene) => {
    const seed = random.integer(0, 99);
    let count = seed;
    proxy.judge = ({ method = '' }) => {
      if (methods !== undefined && !methods.includes(method)) return undefined;
      count += 37;
      return count % 100 < percent ? verdict : undefined;
    };
    return Promise.resolve(() => {
      proxy.judge = () => undefined;
      proxy.dropUnanswered();
    });
  },
});

export const apiServerFaults: Fault[] = [
  answers('the API server answers 409', { code: 409, reason: 'Conflict' }, 40, ['PATCH', 'PUT']),
  answers('the API server answers 429', { code: 429, reason: 'TooManyRequests' }, 60),
  answers('the API server answers 500', { code: 500, reason: 'InternalError' }, 50),
  answers('the API server does not answer', 'no answer', 30),
  answers('answers of the API server get lost', 'lost answer', 40, ['PATCH', 'POST']),
  {
    name: 'watches cut',
    lasts: 3_000,
    begin: ({ world: { proxy } }) => {
      proxy.refusesWatches = true;
      proxy.cutWatches();
      return Promise.resolve(() => {
        proxy.refusesWatches = false;
      });
    },
  },
  {
    name: 'API server killed and started',
    lasts: 0,
    begin: async ({ world: { environment } }) => {
      await environment.controlPlane.killAPIServer();
      await environment.controlPlane.startAPIServer();
      return undefined;
    },
  },
  {
    name: 'etcd compacted while the watches are cut (410)',
    lasts: 0,
    begin: async ({ world: { environment, proxy } }) => {
      proxy.refusesWatches = true;
      proxy.cutWatches();
      await sleep(1_000);
      await compactEtcd(environment.controlPlane);
      // Its cache of what happened goes with it: whoever asks for the time before gets 410 Gone.
      await environment.controlPlane.killAPIServer();
      await environment.controlPlane.startAPIServer();
      proxy.refusesWatches = false;
      return undefined;
    },
  },
];
