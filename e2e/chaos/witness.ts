/** Watches what must never happen, beside the operator and past the proxy, and looks at the hosts. */
import type { AnyObject } from '../env/client.ts';
import { INFRASTRUCTURE } from '../fixtures/objects.ts';
import { type Entry, historyOf, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { NAMESPACE, type Place, type World } from './world.ts';

export class Witness {
  readonly #world: World;
  readonly violations: string[] = [];
  /** How often each invariant was checked. */
  readonly checks = new Map<string, number>();
  /** UID of a machine -> run IDs that it had. */
  readonly #runs = new Map<string, Set<string>>();
  readonly #ready = new Set<string>();
  readonly #stop = new AbortController();
  #watching: Promise<unknown> = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }

  get machinesSeen(): number {
    return this.#runs.size;
  }

  get machinesReady(): number {
    return this.#ready.size;
  }

  start(): void {
    this.#watching = Promise.allSettled([this.#watchEntries(), this.#watchMachines()]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #check(invariant: string, holds: boolean, otherwise: () => string): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
    if (!holds) this.violations.push(`${invariant}: ${otherwise()}`);
  }

  /** What has to come true once there are no more faults. */
  async expect(converged: Promise<unknown>): Promise<void> {
    const otherwise = await converged.then(
      () => undefined,
      (error: unknown) => String(error),
    );
    this.#check('everything converges', otherwise === undefined, () => otherwise ?? '');
  }

  machines() {
    return { apiVersion: INFRASTRUCTURE, kind: 'RemoteMachine', namespace: NAMESPACE };
  }

  entries() {
    return { ...this.machines(), kind: 'PooledRemoteMachine' };
  }

  async #watchEntries(): Promise<void> {
    for await (const all of this.#world.client.observe<Entry>(this.entries(), this.#stop.signal)) {
      const held = all.flatMap(({ metadata, status }) =>
        status?.machineRef === undefined ? [] : [[status.machineRef.uid, metadata.name]],
      );
      const twice = held.find(([uid], i) => held.findIndex(([other]) => other === uid) !== i);
      this.#check('an entry a machine', twice === undefined, () => `machine ${twice?.[0]} has two entries, one of them ${twice?.[1]}`);
    }
  }

  async #watchMachines(): Promise<void> {
    for await (const all of this.#world.client.observe(this.machines(), this.#stop.signal)) {
      for (const machine of all) await this.#look(machine);
    }
  }

  async #look(machine: AnyObject): Promise<void> {
    const { uid = '', name } = machine.metadata;
    const runID = runIDOf(machine);
    const runs = this.#runs.get(uid) ?? new Set();
    this.#runs.set(uid, runs);
    if (runID !== undefined) runs.add(runID);
    if (machine.status?.['ready'] !== true || this.#ready.has(uid)) return;
    this.#ready.add(uid);
    const place = this.#placeOf(machine);
    const history = place === undefined ? [] : await historyOf(place.host);
    const finished = history.includes(`done ${runID}`);
    this.#check('ready is finished', finished, () => `${name} is ready, and its host tells of ${history.join(', ') || 'nothing'}`);
  }

  #placeOf({ spec }: AnyObject): Place | undefined {
    return this.#world.places.find(({ relay }) => relay.port === spec?.['port']);
  }

  /** What the hosts went through, once nothing changes any more. */
  async inspectHosts(): Promise<void> {
    const histories = await Promise.all(this.#world.places.map(async ({ entry, host }) => ({ entry, history: await historyOf(host) })));
    const hostOf = new Map<string, string>();
    for (const { entry, history } of histories) {
      this.#inspect(entry, history);
      for (const run of runsIn(history)) {
        const other = hostOf.get(run);
        this.#check('a run a host', other === undefined || other === entry, () => `run ${run} was on ${other} and on ${entry}`);
        hostOf.set(run, entry);
      }
    }
    for (const [uid, runs] of this.#runs) {
      const on = new Set([...runs].flatMap((run) => hostOf.get(run) ?? []));
      this.#check('a host a machine, for life', on.size <= 1, () => `machine ${uid} ran on ${[...on].join(' and ')}`);
    }
    const entries = await this.#world.client.list<Entry>(this.entries());
    for (const { entry, host } of this.#world.places) {
      const object = entries.find(({ metadata }) => metadata.name === entry);
      if (object === undefined || !isFree(object)) continue;
      const last = (await historyOf(host)).at(-1);
      const clean = (last === undefined || last === 'clean') && (await isCleaned(host));
      this.#check('free is clean', clean, () => `${entry} is free and ${host.name} is not clean; the last of it: ${last}`);
    }
  }

  #inspect(entry: string, history: string[]): void {
    const runs = runsIn(history);
    this.#check('a run runs once', new Set(runs).size === runs.length, () => `${entry} ran a run twice: ${history.join(', ')}`);
    const dirty = history.findIndex((line, i) => line.startsWith('run ') && i > 0 && history[i - 1] !== 'clean');
    this.#check('no dirty host is handed on', dirty === -1, () => `${entry} was not cleaned between runs: ${history.join(', ')}`);
  }
}

const runsIn = (history: string[]): string[] => history.filter((line) => line.startsWith('run ')).map((line) => line.slice(4));
