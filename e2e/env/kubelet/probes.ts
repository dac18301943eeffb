/** Probes of a container, carried out as a kubelet does it: by HTTP to the Pod's address. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, Probe } from './types.ts';

export interface Prober {
  /** Told of each change. */
  onChange: (state: { started?: boolean; ready?: boolean }) => void;
  /** The startup or liveness probe failed as often as it may. */
  onFailure: (which: string) => void;
}

/** Probes until the signal aborts: startup first, then readiness and liveness side by side. */
export async function probe(container: Container, address: string, signal: AbortSignal, prober: Prober): Promise<void> {
  const { startupProbe, readinessProbe, livenessProbe } = container;
  const url = (of: Probe): string => urlOf(container, of, address);
  try {
    if (startupProbe !== undefined && !(await untilFirstSuccess(startupProbe, url(startupProbe), signal))) {
      prober.onFailure('startup');
      return;
    }
    prober.onChange({ started: true, ready: readinessProbe === undefined });
    await Promise.all([
      readinessProbe && watch(readinessProbe, url(readinessProbe), signal, false, (ready) => prober.onChange({ ready })),
      livenessProbe && watch(livenessProbe, url(livenessProbe), signal, true, (live) => live || prober.onFailure('liveness')),
    ]);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function urlOf({ ports = [] }: Container, { httpGet }: Probe, address: string): string {
  if (httpGet === undefined) throw new Error('only httpGet probes are built');
  const port = typeof httpGet.port === 'number' ? httpGet.port : ports.find(({ name }) => name === httpGet.port)?.containerPort;
  if (port === undefined) throw new Error(`a probe names port ${httpGet.port}, which the container does not have`);
  return `${(httpGet.scheme ?? 'HTTP').toLowerCase()}://${address}:${port}${httpGet.path ?? '/'}`;
}

const period = ({ periodSeconds = 10 }: Probe): number => periodSeconds * 1000;

async function succeeds(probed: Probe, url: string, signal: AbortSignal): Promise<boolean> {
  const timer = AbortSignal.timeout((probed.timeoutSeconds ?? 1) * 1000);
  const answer = await fetch(url, { signal: AbortSignal.any([signal, timer]) }).catch(() => undefined);
  signal.throwIfAborted();
  return answer !== undefined && answer.status >= 200 && answer.status < 400;
}

async function untilFirstSuccess(probed: Probe, url: string, signal: AbortSignal): Promise<boolean> {
  for (let failures = 0; failures < (probed.failureThreshold ?? 3); failures++) {
    if (await succeeds(probed, url, signal)) return true;
    await sleep(period(probed), undefined, { signal });
  }
  return false;
}

/** Tells of each change, which takes as many results in a row as the probe says. */
async function watch(probed: Probe, url: string, signal: AbortSignal, before: boolean, tell: (good: boolean) => void): Promise<void> {
  let state = before;
  for (let others = 0; ;) {
    const good = await succeeds(probed, url, signal);
    others = good === state ? 0 : others + 1;
    if (others >= (good ? (probed.successThreshold ?? 1) : (probed.failureThreshold ?? 3))) {
      state = good;
      others = 0;
      tell(good);
    }
    // Whatever is not well yet is looked at more often than the probe says, so that tests wait for nothing.
    await sleep(state ? period(probed) : Math.min(period(probed), 1000), undefined, { signal });
  }
}
