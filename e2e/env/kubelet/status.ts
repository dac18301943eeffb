/** What a kubelet reports of a Pod. */
import type { UnpackedImage } from './image.ts';
import type { Pod } from './types.ts';

/** How a container is. */
export interface ContainerState {
  restarts: number;
  startedAt?: string;
  started?: boolean;
  ready?: boolean;
  waiting?: { reason: string; message: string };
  terminated?: { exitCode: number; startedAt: string; finishedAt: string };
}

type Images = (reference: string) => UnpackedImage | undefined;

/** status of the Pod (v1). */
export function statusOf(pod: Pod, states: ReadonlyMap<string, ContainerState>, podIP: string, imageOf: Images): object {
  const { containers, restartPolicy = 'Always' } = pod.spec;
  const all = containers.map(({ name }) => states.get(name));
  const ready = all.every((state) => state?.ready === true);
  const over = restartPolicy === 'Never' && all.every((state) => state?.terminated !== undefined);
  const failed = all.some((state) => state?.terminated !== undefined && state.terminated.exitCode !== 0);
  const waiting = all.some((state) => state === undefined || state.waiting !== undefined);
  const phase = over ? (failed ? 'Failed' : 'Succeeded') : waiting ? 'Pending' : 'Running';
  const known = new Map((pod.status?.conditions ?? []).map((condition) => [condition.type, condition]));
  const condition = (type: string, good: boolean, reason?: string) => ({
    ...known.get(type),
    type,
    status: good ? 'True' : 'False',
    ...(!good && reason !== undefined && { reason }),
  });
  return {
    phase,
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: pod.metadata.creationTimestamp,
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', ready, over ? 'PodCompleted' : 'ContainersNotReady'),
      condition('Ready', ready, over ? 'PodCompleted' : 'ContainersNotReady'),
    ],
    containerStatuses: containers.map(({ name, image }) => containerStatus(name, image, states.get(name), imageOf)),
  };
}

function containerStatus(name: string, image: string, state: ContainerState | undefined, imageOf: Images): object {
  const { ready = false, started = false, restarts = 0, startedAt, waiting, terminated } = state ?? {};
  const now =
    terminated !== undefined
      ? { terminated: { ...terminated, reason: terminated.exitCode === 0 ? 'Completed' : 'Error' } }
      : startedAt !== undefined && waiting === undefined
        ? { running: { startedAt } }
        : { waiting: waiting ?? { reason: 'ContainerCreating' } };
  return {
    name,
    image,
    imageID: imageOf(image)?.digest ?? '',
    ready: ready && terminated === undefined,
    started,
    restartCount: restarts,
    state: now,
  };
}
