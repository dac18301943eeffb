/** Watches what must never happen, beside the operators and past the proxy, and looks at the hosts. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reason } from '../../apis/infrastructure/conditions.ts';
import type { AnyObject } from '../env/client.ts';
import { INFRASTRUCTURE } from '../fixtures/objects.ts';
import { conditionOf, type Entry, HISTORY, isCleaned, isFree, runIDOf } from '../fixtures/pool.ts';
import { REASONS } from './faults/hosts.ts';
import { NAMESPACE, type Place, type World } from './world.ts';

const INVARIANTS = [
  'an entry a machine',
  'an entry changes hands only when it is free',
  'free is clean',
  'ready is finished',
  'a failure has its cause',
  'a run runs once',
  'a run a host',
  'a host a machine, for life',
  'no dirty host is handed on',
  'everything converges',
  'no connection is left',
  'an operator ends as it should',
  'nothing leaks',
] as const;
type Invariant = (typeof INVARIANTS)[number];

/** Of a host that may be off. */
const historyOn = ({ host }: Place): string[] => {
  const file = join(host.changes, HISTORY);
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};
const runsIn = (history: string[]): string[] => history.filter((line) => line.startsWith('run ')).map((line) => line.slice(4));

export class Witness {
  readonly #world: World;
  readonly violations: string[] = [];
  /** How often each invariant was checked. */
  readonly checks = new Map<Invariant, number>();
  /** UID of a machine -> run IDs that it had. */
  readonly #runs = new Map<string, Set<string>>();
  /** UID of an entry -> UID of the machine that has it. */
  readonly #holders = new Map<string, string | undefined>();
  readonly #ready = new Set<string>();
  readonly #failed = new Set<string>();
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
    const watching = [this.#watchEntries(), this.#watchMachines()].map((watch) =>
      watch.catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.violations.push(`the witness saw nothing more: ${String(error)}`);
      }),
    );
    this.#watching = Promise.all(watching);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #check(invariant: Invariant, holds: boolean, otherwise: () => string): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
    if (!holds) this.violations.push(`${invariant}: ${otherwise()}`);
  }

  /** Those that were never checked. A leak takes time to be seen, and a failure need not come. */
  unchecked(...optional: Invariant[]): Invariant[] {
    return INVARIANTS.filter((invariant) => !this.checks.has(invariant) && !optional.includes(invariant));
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
      for (const entry of all) this.#follow(entry);
    }
  }

  /** Who has the entry, and how it goes from one to the next. */
  #follow({ metadata: { uid = '', name }, status }: Entry): void {
    const holder = status?.machineRef?.uid;
    const before = this.#holders.get(uid);
    this.#holders.set(uid, holder);
    if (before === undefined || holder === before) return;
    this.#check('an entry changes hands only when it is free', holder === undefined, () => `${name} went from ${before} to ${holder}`);
    const place = this.#world.places.find((one) => one.name === name);
    const says = status?.conditions?.some(({ type, status: value }) => type === 'Clean' && value === 'True');
    if (place === undefined || says !== true) return;
    const history = historyOn(place);
    const left = [...(this.#runs.get(before) ?? [])].filter((run) => history.lastIndexOf(`run ${run}`) > history.lastIndexOf('clean'));
    this.#check('free is clean', left.length === 0, () => `${name} says that it is clean after ${left.join()}: ${history.join(', ')}`);
  }

  async #watchMachines(): Promise<void> {
    for await (const all of this.#world.client.observe(this.machines(), this.#stop.signal)) for (const machine of all) this.#look(machine);
  }

  #look(machine: AnyObject): void {
    const { uid = '', name } = machine.metadata;
    const runID = runIDOf(machine);
    const runs = this.#runs.get(uid) ?? new Set();
    this.#runs.set(uid, runs);
    if (runID !== undefined) runs.add(runID);
    const place = this.#world.places.find(({ relay }) => relay.port === machine.spec?.['port']);
    const ready = conditionOf(machine, 'Ready');
    if (ready?.status === 'False' && !this.#failed.has(uid)) {
      this.#failed.add(uid);
      const causes = REASONS[ready.reason as Reason] ?? [];
      const caused = causes.some((cause) => place?.befell.has(cause));
      this.#check('a failure has its cause', caused, () => `${name} failed by ${ready.reason}: ${ready.message}`);
    }
    if (machine.status?.['ready'] !== true || this.#ready.has(uid)) return;
    this.#ready.add(uid);
    const history = place === undefined ? [] : historyOn(place);
    const finished = history.includes(`done ${runID}`);
    this.#check('ready is finished', finished, () => `${name} is ready, and its host tells of ${history.join(', ') || 'nothing'}`);
  }

  /** What the hosts went through, once nothing changes any more. */
  async inspectHosts(): Promise<void> {
    const hostOf = new Map<string, string>();
    for (const place of this.#world.places) {
      const { name } = place;
      const history = historyOn(place);
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
    const free = (await this.#world.client.list<Entry>(this.entries())).filter(isFree).map(({ metadata }) => metadata.name);
    for (const place of this.#world.places.filter(({ name }) => free.includes(name))) {
      const last = historyOn(place).at(-1);
      const clean = (last === undefined || last === 'clean') && (await isCleaned(place.host));
      this.#check('free is clean', clean, () => `${place.name} is free and its host is not clean; the last of it: ${last}`);
    }
  }

  /** What the operators hold once nothing is to be done. */
  inspectConnections(): void {
    const open = this.#world.places.filter(({ relay }) => relay.open > 0).map(({ name, relay }) => `${relay.open} to ${name}`);
    this.#check('no connection is left', open.length === 0, () => open.join(', '));
  }

  /** What must not have grown by more than a tenth, and by what comes and goes. */
  compare(what: string, before: number, after: number, momentary = 0): void {
    this.#check('nothing leaks', after <= before * 1.1 + momentary, () => `${what}: ${before}, and at the end ${after}`);
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
