/** How fast a large document gets to a far host and its files are there, beside `tar | ssh tar` through the same relay, which delays both. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { stringify } from 'yaml';
import type { Planner } from '../../operator/bootstrap/plan.ts';
import { planCleanup } from '../../operator/cleanup/planner.ts';
import { plannerIn, startPlanning } from '../../operator/reading.ts';
import { Executor } from '../../operator/runner/execution.ts';
import { createRunner } from '../../operator/runner/runner.ts';
import { SSHDialer } from '../../operator/ssh/dialer.ts';
import type { Target } from '../../operator/ssh/types.ts';
import { must } from '../env/command.ts';
import type { Host } from '../env/hosts.ts';
import { Relay } from '../env/relay.ts';

const FILES = 200;
const BYTES = 256 * 1024;
/** Added to each direction, ms. */
const DELAY = 50;
const ROUNDS = 5;

export interface Uploaded {
  /** Round trips from the connection to the first command. */
  roundTrips: number;
  /** Milliseconds from the start to the first command. */
  operator: number;
  /** Milliseconds of `tar | ssh tar`. */
  tar: number;
}

const OPTIONS = { timeout: 20_000, keepalive: 10_000, legacyAlgorithms: false };
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const files = Array.from({ length: FILES }, (_, index) => ({
  path: `/srv/upload/file-${index}`,
  content: `${index} ${'x'.repeat(Math.floor(BYTES / FILES) - 60)}\n`,
}));
const document = `#cloud-config\n${stringify({ write_files: files, runcmd: ['date +%s%N >/run/first'] })}`;

export async function measureUpload(host: Host, address: string, folder: string): Promise<Uploaded> {
  const relay = await Relay.start(host, address);
  const { privateKey, hostPublicKey } = host;
  const hostKeys = { expected: { kind: 'keys' as const, keys: [hostPublicKey] }, trustOnFirstUse: false };
  const target: Target = { address, port: relay.port, user: 'root', privateKey, hostKeys, bastions: [] };
  const planning = startPlanning();
  const planner = plannerIn(planning);
  try {
    const near = await medians(() => toFirstCommand(host, target, planner));
    relay.delay = DELAY;
    const far = await medians(() => toFirstCommand(host, target, planner));
    const connected = await medians(() => toConnection(target));
    relay.delay = 0;
    const connectedNear = await medians(() => toConnection(target));
    relay.delay = DELAY;
    const tar = await medians(await tarOver(host, target, folder));
    const roundTrips = (far - near - (connected - connectedNear)) / (2 * DELAY);
    return { roundTrips, operator: far, tar };
  } finally {
    relay.close();
    await planning.close();
  }
}

async function medians(measure: () => Promise<number>): Promise<number> {
  const all: number[] = [];
  for (let round = 0; round < ROUNDS; round++) all.push(await measure());
  return median(all);
}

async function toConnection(target: Target): Promise<number> {
  const start = performance.now();
  const connection = await new SSHDialer().connect(target, { ...OPTIONS, signal: new AbortController().signal });
  const took = performance.now() - start;
  await connection.close();
  return took;
}

let runs = 0;

/** As the operator does it: planned before the host is connected to. Host and measuring process have one clock. */
async function toFirstCommand(host: Host, target: Target, planner: Planner): Promise<number> {
  const executor = new Executor(new SSHDialer(), createRunner, OPTIONS);
  const access = { target, privilege: 'plain' as const };
  const work = { signal: new AbortController().signal, report: () => undefined };
  const start = Date.now();
  const plan = await planner({ value: Buffer.from(document) }, { hostname: host.name, instanceID: 'bench' });
  await executor.bootstrap(
    access,
    {
      claimant: { runID: `upload-${++runs}`, machine: { namespace: 'bench', name: 'upload', uid: 'none' } },
      cleanup: planCleanup({ commands: ['rm -rf /srv/upload'] }),
      plan: () => Promise.resolve(plan),
      asksHost: false,
      begun: false,
      options: { commandsAsScript: false, workingDir: '/' },
      isGone: () => Promise.resolve(false),
      timeout: 60_000,
      onTouch: () => undefined,
      committed: Promise.resolve(),
      output: { write: () => undefined, flush: () => undefined },
    },
    work,
  );
  const first = Number(BigInt((await host.readFile('/run/first')).trim()) / 1_000_000n);
  await executor.reclaim(access, () => true, work);
  return first - start;
}

async function tarOver(host: Host, { address, port, privateKey }: Target, folder: string): Promise<() => Promise<number>> {
  const [key, known, tree] = ['upload-key', 'upload-known-hosts', 'upload'].map((name) => join(folder, name)) as [string, string, string];
  await mkdir(join(tree, 'srv/upload'), { recursive: true });
  await writeFile(key, privateKey, { mode: 0o600 });
  await writeFile(known, `[${address}]:${port} ${host.hostPublicKey}\n`);
  await Promise.all(files.map(({ path, content }) => writeFile(join(tree, path), content)));
  const ssh = `ssh -F none -i '${key}' -o UserKnownHostsFile='${known}' -o BatchMode=yes -p ${port} root@${address}`;
  return async () => {
    const start = performance.now();
    await must('sh', ['-c', `tar -C '${tree}' -cf - srv | ${ssh} tar -C / -xf -`]);
    return performance.now() - start;
  };
}
