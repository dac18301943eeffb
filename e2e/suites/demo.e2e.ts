/** `make demo` and `make demo-down`, as a person runs them. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { must } from '../env/command.ts';
import { existingRuns, isAlive, readManifest } from '../env/run.ts';

const folder = join(import.meta.dirname, '../demo');

/** The demo as a process; `said` has what it has printed so far. */
function demo() {
  const child = spawn(process.execPath, [join(folder, 'main.ts')], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said.text += stripVTControlCharacters(chunk.toString())));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  /** Resolves once it has printed `text`; fails with all of it if it ends before. */
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => (said.text.includes(text) ? resolve() : undefined);
      child.stdout.on('data', look);
      void ended.then((code) => reject(new Error(`the demo ended with ${code} before it said "${text}":\n${said.text}`)));
    });
  return { child, said, ended, says };
}

const demos = () => existingRuns().filter(({ owner }) => owner.purpose === 'demo');

/** Processes of this machine whose command line or environment speaks of the folder. */
function processesOf(path: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return command.includes(path) ? [`${pid} ${command}`] : [];
      } catch {
        return []; // it ended meanwhile
      }
    });
}

/** Folder, processes, links and namespaces of the run are gone. */
function expectNothingLeft({ folder: path, made }: { folder: string; made: ReturnType<typeof readManifest> }): void {
  expect(demos()).toEqual([]);
  expect(processesOf(`${path}/`)).toEqual([]);
  expect(made.filter((entry) => entry.kind === 'process' && isAlive(entry))).toEqual([]);
  const links = spawnSync('ip', ['-o', 'link'], { encoding: 'utf8' }).stdout;
  const namespaces = spawnSync('ip', ['netns'], { encoding: 'utf8' }).stdout;
  for (const entry of made) {
    if (entry.kind === 'link') expect(links).not.toContain(` ${entry.name}:`);
    if (entry.kind === 'network namespace') expect(namespaces.split('\n').map((line) => line.split(' ')[0])).not.toContain(entry.name);
  }
}

/** What the demo that runs has made so far. */
function made(): { folder: string; made: ReturnType<typeof readManifest> } {
  const [found] = demos();
  if (found === undefined) throw new Error('no demo is running');
  return { folder: found.run.folder, made: readManifest(found.run.folder) };
}

beforeAll(() => {
  if (demos().length > 0) throw new Error('a demo is running: end it with make demo-down, as these tests start one');
});

test.each([
  ['the control plane starts', 'prepare the network of the hosts ('],
  ['the machines come up', 'start the operator ('],
])('interrupted while %s, it takes everything away before it ends', async (_name, said) => {
  const { child, ended, says } = demo();
  await says(said);
  const before = made();
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expectNothingLeft(before);
});

test('it ends with every machine ready, says how to look around, and is ended by make demo-down', async () => {
  const { said, ended } = demo();
  expect(await ended).toBe(0);
  expect(said.text).toMatch(/│ remote-test-0\s+│ 10\.[\d.]+\s+│ Running, Ready\s+│ \d+\s+│/);
  expect(said.text).toMatch(/│ remote-test\S*\s+│ 10\.[\d.]+\s+│ Running, Ready\s+│ \d+\s+│/);
  expect(said.text).toContain('End it with: make demo-down');
  const [, kubeconfig = ''] = /export KUBECONFIG=(\S+)/.exec(said.text) ?? [];
  const [, kubectl = '', args = ''] = /^ {2}(\S*kubectl) (get .+)$/m.exec(said.text) ?? [];
  const table = await must(kubectl, args.split(' '), { env: { ...process.env, KUBECONFIG: kubeconfig } });
  expect(table).toMatch(/remotemachine\.\S+\/remote-test-0 /);
  const login = /^ {2}(ssh .+)$/m.exec(said.text)?.[1] ?? '';
  const greeting = await must('sh', ['-c', login.replace('ssh ', 'ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ')]);
  expect(greeting).not.toBe('');
  const second = demo();
  expect(await second.ended).toBe(1);
  expect(second.said.text).toContain('A demo is running already');
  const before = made();
  expect(await must(process.execPath, [join(folder, 'down.ts')])).toBe('The demo is gone.\n');
  expectNothingLeft(before);
});
