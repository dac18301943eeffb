import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canLoop } from '../../operator/bootstrap/testing/loop.ts';
import { devicesOf } from './loop.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import { cleanUp, cleanUpAbandoned, existingRuns, isAlive, readManifest, record, type Run, signal, startRun, startTime } from './run.ts';

/** Runs of these tests only: a folder of their own keeps them away from environments that are in use. */
let base: string;
beforeEach(() => (base = mkdtempSync(join(tmpdir(), 'run-test-'))));
afterEach(() => {
  for (const { run } of existingRuns(base)) cleanUp(run.folder);
  rmSync(base, { recursive: true });
});

const shell = (run: Run, script: string): ManagedProcess =>
  startProcess(run, { name: 'shell', command: 'sh', args: ['-c', script], log: join(run.folder, 'shell.log') });

test('runs that exist at once have different indexes; one that is over gives its index back', async () => {
  const [first, second] = [await startRun('one', base), await startRun('two', base)];
  expect([first.index, second.index]).toEqual([0, 1]);
  cleanUp(first.folder);
  expect((await startRun('three', base)).index).toBe(0);
});

test('stop ends a process that ignores SIGTERM, and its descendants outside its process group', async () => {
  const run = await startRun('test', base);
  const parent = shell(run, `trap '' TERM; setsid sleep 1000 & echo $! >${run.folder}/child; echo up; while :; do sleep 0.1; done`);
  await untilReady(parent, () => Promise.resolve(parent.output().includes('up')));
  const child = { pid: Number(readFileSync(join(run.folder, 'child'), 'utf8')), start: 0 };
  child.start = startTime(child.pid) ?? -1;
  expect(isAlive(child)).toBe(true);
  expect(await parent.stop(100)).toBeNull();
  expect([parent.alive, isAlive(child)]).toEqual([false, false]);
});

test('stop returns the exit code of a process that ends by itself', async () => {
  const run = await startRun('test', base);
  const parent = shell(run, `trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done`);
  await untilReady(parent, () => Promise.resolve(parent.output().includes('up')));
  expect(await parent.stop()).toBe(7);
});

test('a process that ends while starting is reported with the end of its log', async () => {
  const run = await startRun('test', base);
  await expect(untilReady(shell(run, 'echo no such flag >&2; exit 3'), () => Promise.resolve(false))).rejects.toThrow(
    /shell ended while starting[^]*no such flag/,
  );
});

test('a signal reaches only the process that was meant, not a later one with its ID', async () => {
  const run = await startRun('test', base);
  const { pid, start } = shell(run, 'sleep 1000');
  expect(signal({ pid, start: start - 1 }, 'SIGKILL')).toBe(false);
  expect(isAlive({ pid, start })).toBe(true);
});

test('what an owner that was killed leaves behind is cleaned up by the next run', async () => {
  // The owner is killed by SIGKILL, so nothing of its own code can clean up.
  const script = `
    const { startRun } = await import(${JSON.stringify(join(__dirname, 'run.ts'))});
    const { startProcess } = await import(${JSON.stringify(join(__dirname, 'process.ts'))});
    const run = await startRun('killed', ${JSON.stringify(base)});
    startProcess(run, { name: 'sleep', command: 'sleep', args: ['1000'], log: run.folder + '/log' });
    console.log('started');
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(owner.stdout, 'data');
  const [left] = existingRuns(base);
  const child = readManifest(left?.run.folder ?? '').find((made) => made.kind === 'process');
  expect([left?.owner.purpose, child && isAlive(child)]).toEqual(['killed', true]);
  expect(cleanUpAbandoned(base)).toBe(0);
  expect(() => cleanUp(left?.run.folder ?? '')).toThrow(`(killed) is in use by process ${owner.pid}`);
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const next = await startRun('next', base);
  expect(child && isAlive(child)).toBe(false);
  expect(existingRuns(base).map(({ owner: { purpose } }) => purpose)).toEqual(['next']);
  expect(next.index).toBe(0);
});

(canLoop ? test : test.skip).each([
  ['is not used', ':'],
  ['is swapped to', 'mkswap "$1" && chmod 0600 "$1" && swapon "$1"'],
  [
    'has a file that is swapped to',
    'mkfs.ext4 -q "$1" && mount "$1" /mnt && fallocate -l 4M /mnt/swap && chmod 0600 /mnt/swap && mkswap /mnt/swap && swapon /mnt/swap',
  ],
])('a disk goes with the run, also where it %s and whoever began that is gone', async (_, use) => {
  const run = await startRun('test', base);
  const path = join(run.folder, 'disk');
  record(run, { kind: 'disk', path });
  writeFileSync(path, '');
  truncateSync(path, 16 << 20);
  const device = execFileSync('losetup', ['--find', '--show', '--partscan', path], { encoding: 'utf8' }).trim();
  const swaps = readFileSync('/proc/swaps', 'utf8');
  execFileSync('unshare', ['--mount', 'sh', '-c', use, 'sh', device]);
  expect(devicesOf(path)).toHaveLength(1);
  cleanUp(run.folder);
  const { stdout } = spawnSync('losetup', ['--noheadings', '--output', 'BACK-FILE', device], { encoding: 'utf8' });
  expect([existsSync(run.folder), stdout.includes(base), readFileSync('/proc/swaps', 'utf8')]).toEqual([false, false, swaps]);
});

test('the manifest survives a last line that was cut short', async () => {
  const run = await startRun('test', base);
  appendFileSync(join(run.folder, 'manifest.jsonl'), '{"kind":"link","na');
  expect(readManifest(run.folder).map(({ kind }) => kind)).toEqual(['owner']);
  cleanUp(run.folder);
  expect(existsSync(run.folder)).toBe(false);
});
