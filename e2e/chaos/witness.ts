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
    const histories = await Promise.all(this.#world.places.map(async ({ name, host }) => ({ name, history: await historyOf(host) })));
    const hostOf = new Map<string, string>();
    for (const { name, history } of histories) {
      this.#inspect(name, history);
      for (const run of runsIn(history)) {
        const other = hostOf.get(run);
        this.#check('a run a host', other === undefined || other === name, () => `run ${run} was on ${other} and on ${name}`);
        hostOf.set(run, name);
      }
    }
    for (const [uid, runs] of this.#runs) {
      const on = new Set([...runs].flatMap((run) => hostOf.get(run) ?? []));
      this.#check('a host a machine, for life', on.size <= 1, () => `machine ${uid} ran on ${[...on].join(' and ')}`);
    }
    const entries = await this.#world.client.list<Entry>(this.entries());
    for (const { name, host } of this.#world.places) {
      const object = entries.find(({ metadata }) => metadata.name === name);
      if (object === undefined || !isFree(object)) continue;
      const last = (await historyOf(host)).at(-1);
      const clean = (last === undefined || last === 'clean') && (await isCleaned(host));
      this.#check('free is clean', clean, () => `${name} is free and ${host.name} is not clean; the last of it: ${last}`);
    }
  }

  /** What the operators hold once nothing is to be done. */
  inspectConnections(): void {
    const open = this.#world.places.filter(({ relay }) => relay.open > 0).map(({ name, relay }) => `${relay.open} to ${name}`);
    this.#check('no connection is left', open.length === 0, () => open.join(', '));
  }

  /** What must not have grown by more than a tenth. */
  compare(what: string, before: number, after: number): void {
    this.#check('nothing leaks', after <= before * 1.1, () => `${what}: ${before}, and at the end ${after}`);
  }

  /** How each operator ended: by what was done to it, or because it could not go on and said so. */
  inspectEnds(ends: (number | NodeJS.Signals)[]): void {
    for (const end of ends) this.#check('an operator ends as it should', [0, 1, 'SIGKILL'].includes(end), () => `one ended by ${end}`);
  }

  #inspect(name: string, history: string[]): void {
    const runs = runsIn(history);
    this.#check('a run runs once', new Set(runs).size === runs.length, () => `${name} ran a run twice: ${history.join(', ')}`);
    const dirty = history.findIndex((line, i) => line.startsWith('run ') && i > 0 && history[i - 1] !== 'clean');
    this.#check('no dirty host is handed on', dirty === -1, () => `${name} was not cleaned between runs: ${history.join(', ')}`);
  }
}

const runsIn = (history: string[]): string[] => history.filter((line) => line.startsWith('run ')).map((line) => line.slice(4));
