/** One Pod on this machine: its place in the hosts' network, its volumes, and its containers in the runtime that containerd uses (runc). */
import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordCgroups } from '../cgroup.ts';
import type { Client } from '../client.ts';
import { run as runCommand } from '../command.ts';
import { plug, type Port, unplug } from '../network.ts';
import { type ManagedProcess, startProcess } from '../process.ts';
import type { Run } from '../run.ts';
import { runtimeConfig } from './bundle.ts';
import type { UnpackedImage } from './image.ts';
import { probe } from './probes.ts';
import { type ContainerState, statusOf } from './status.ts';
import type { Container, Pod } from './types.ts';
import { makeVolume } from './volumes.ts';

export interface Node {
  run: Run;
  client: Client;
  network: { bridge: string; prefix: string };
  service: { host: string; port: string };
  /** The image of that name, if it can be had. */
  imageOf: (reference: string) => UnpackedImage | undefined;
}

/** Milliseconds before a container that ended is started again; doubled each time. */
const BACK_OFF = 500;

export class RunningPod {
  readonly pod: Pod;
  readonly folder: string;
  readonly #node: Node;
  readonly #place: Port;
  readonly #states = new Map<string, ContainerState>();
  readonly #processes = new Map<string, ManagedProcess>();
  readonly #volumes = new Map<string, string>();
  readonly #ending = new AbortController();
  #reported: Promise<void> = Promise.resolve();

  constructor(node: Node, pod: Pod, place: Port) {
    this.#node = node;
    this.pod = pod;
    this.#place = place;
    this.folder = join(node.run.folder, 'pods', pod.metadata.uid);
  }

  get address(): string {
    return this.#place.address;
  }
  get name(): string {
    return this.pod.metadata.name;
  }

  /** What a container has written, over all its starts. */
  logs = (container = this.pod.spec.containers[0]?.name ?? ''): string => this.#processes.get(container)?.output() ?? '';

  /** IDs of the containers' processes on this machine: runc, whose child is the container's first. */
  get processes(): ManagedProcess[] {
    return [...this.#processes.values()];
  }

  async start(): Promise<void> {
    const { run, network, client } = this.#node;
    const { volumes = [], containers, initContainers = [] } = this.pod.spec;
    if (initContainers.length > 0) throw new Error('init containers are not built');
    await mkdir(this.folder, { recursive: true });
    await plug(run, network, this.#place);
    await writeFile(join(this.folder, 'hosts'), `127.0.0.1 localhost\n${this.address} ${this.name}\n`);
    await writeFile(join(this.folder, 'resolv.conf'), '');
    for (const volume of volumes) this.#volumes.set(volume.name, await makeVolume(client, this.pod, volume, join(this.folder, 'volumes')));
    for (const container of containers) void this.#keep(container);
  }

  /** New tokens, and everything else as it is now. */
  async refreshVolumes(): Promise<void> {
    for (const volume of this.pod.spec.volumes ?? [])
      if (volume.emptyDir === undefined) await makeVolume(this.#node.client, this.pod, volume, join(this.folder, 'volumes'));
  }

  /** Starts a container, again and again as its Pod says, until the Pod is to end. */
  async #keep(container: Container): Promise<void> {
    const { restartPolicy = 'Always' } = this.pod.spec;
    for (let restarts = 0; ; restarts++) {
      const exitCode = await this.#once(container, restarts).catch((error: unknown) => {
        this.#change(container, { restarts, waiting: { reason: 'CreateContainerError', message: String(error) } });
        return 128;
      });
      if (this.#ending.signal.aborted) return;
      const again = restartPolicy === 'Always' || (restartPolicy === 'OnFailure' && exitCode !== 0);
      if (!again) return;
      await sleep(Math.min(BACK_OFF * 2 ** restarts, 30_000), undefined, { signal: this.#ending.signal }).catch(() => undefined);
    }
  }

  /** One life of a container; its exit code. */
  async #once(container: Container, restarts: number): Promise<number> {
    const image = this.#node.imageOf(container.image);
    if (image === undefined) {
      this.#change(container, { restarts, waiting: { reason: 'ErrImagePull', message: `no image ${container.image}` } });
      return 1;
    }
    const process = await this.#run(container, image);
    this.#processes.set(container.name, process);
    const startedAt = new Date().toISOString();
    this.#change(container, { restarts, startedAt, ready: false, started: false });
    const over = new AbortController();
    const probing = probe(container, this.address, AbortSignal.any([over.signal, this.#ending.signal]), {
      onChange: (state) => this.#change(container, { ...this.#states.get(container.name), ...state, restarts }),
      onFailure: () => void process.stop((this.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000),
    });
    const ending = await process.ended;
    over.abort();
    await probing;
    const exitCode = typeof ending === 'number' ? ending : 137;
    this.#change(container, { restarts, terminated: { exitCode, startedAt, finishedAt: new Date().toISOString() } });
    return exitCode;
  }

  async #run(container: Container, image: UnpackedImage): Promise<ManagedProcess> {
    const { run, service } = this.#node;
    const bundle = join(this.folder, container.name);
    // The image stays as it is; mount points are made above it, as containerd does.
    for (const name of ['upper', 'work', 'root']) await mkdir(join(bundle, name), { recursive: true });
    const id = `${this.#place.namespace}-${container.name}`;
    recordCgroups(run, id);
    const network = `/run/netns/${this.#place.namespace}`;
    const paths = { root: join(bundle, 'root'), network, cgroup: id, files: this.folder };
    const config = runtimeConfig({ pod: this.pod, container, image: image.config, volumes: this.#volumes, service, ...paths });
    await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
    const mount =
      'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" && exec runc --root "$3" run --bundle "$2" "$4"';
    const runtime = join(run.folder, 'runc', id);
    const args = ['--mount', 'sh', '-c', mount, 'sh', image.root, bundle, runtime, id];
    if (existsSync(runtime)) await this.#forget(runtime, id);
    return startProcess(run, { name: `container ${id}`, command: 'unshare', args, log: join(bundle, 'log') });
  }

  /** What a killed runc has left. */
  async #forget(runtime: string, id: string): Promise<void> {
    await runCommand('runc', ['--root', runtime, 'delete', '--force', id]);
  }

  #change(container: Container, state: ContainerState): void {
    this.#states.set(container.name, state);
    this.#report();
  }

  /** One report after the other, the last one being of how it is then. */
  #report(): void {
    this.#reported = this.#reported.then(async () => {
      const { namespace, name } = this.pod.metadata;
      const status = statusOf(this.pod, this.#states, this.address, this.#node.imageOf);
      await this.#node.client.patch({ apiVersion: 'v1', kind: 'Pod', namespace, name }, { status }, 'status').catch(() => undefined);
    });
  }

  /** SIGTERM, and SIGKILL after the grace; everything of it goes. */
  async stop(grace: number): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.processes.map((process) => process.stop(grace)));
    await this.#reported;
    if (existsSync(`/run/netns/${this.#place.namespace}`)) await unplug(this.#place);
  }

  /** SIGKILL to a container, as when the kernel kills it; the kubelet starts it again. */
  async kill(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.kill()));
  }
}
