/** Files that go to one folder with one mode and owner are written together; for whoever looks they are as if written one by one. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileStep } from '../bootstrap/plan.ts';
import { CLAIMANT, LocalHost, OPTIONS, RUN, USERLANDS, cleanupOf, fileStep, planOf } from './testing/local.ts';
import { stalled } from './testing/stalled.ts';

jest.setTimeout(120_000);

const ignore = (): void => undefined;
const STAGE = `.cluster-api-provider-remote.run.${RUN}`;
const several = (folder: string, names: string[], more: Partial<FileStep> = {}): FileStep[] =>
  names.map((name) => fileStep(join(folder, name), `${name}\n`, more));
const NAMES = ['one', '.two', '-three'];

/** In place of `tool`, a program that fails where `pattern` (of the shell's case) says. */
function failing(host: LocalHost, tool: string, pattern: string): void {
  const bin = host.path('bin');
  mkdirSync(bin);
  const script = `#!/bin/sh\ncase "$*" in ${pattern}) echo refused >&2; exit 1 ;; esac\nPATH=${host.paths.path} exec ${tool} "$@"\n`;
  writeFileSync(join(bin, tool), script, { mode: 0o755 });
  host.paths.path = `${bin}:${host.paths.path}`;
}

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('each has its content, mode and owner, and a folder that was not there is as ever', async () => {
    await using host = new LocalHost(userland());
    const [one, other] = [host.path('a', 'one'), host.path('a', 'other')];
    const owned = { mode: 0o4710, owner: 'daemon:bin' };
    mkdirSync(host.path('precious'));
    // Variables of the runner.
    const exported = `export clock=x ids=0.0 noted=/x/ gathered=x numbers=x words=x straight=/ texts=000002 marks=x stage=${host.path('precious')}`;
    const files = [...several(one, NAMES), ...several(one, ['x', 'y', 'z'], owned), ...several(other, NAMES)];
    expect((await host.bootstrap(planOf(exported, ...files, 'true'))).state).toMatchObject({ exitCode: 0 });
    for (const folder of [one, other]) {
      for (const name of NAMES) {
        expect(readFileSync(join(folder, name), 'utf8')).toBe(`${name}\n`);
        expect(statSync(join(folder, name))).toMatchObject({ mode: 0o100644, uid: 0, gid: 0 });
      }
    }
    for (const name of ['x', 'y', 'z']) expect(statSync(join(one, name))).toMatchObject({ mode: 0o104710, uid: 1, gid: 2 });
    expect([readdirSync(one).sort(), readdirSync(other).sort()]).toEqual([[...NAMES, 'x', 'y', 'z'].sort(), NAMES.toSorted()]);
    expect(statSync(one).mode & 0o7777).toBe(0o755);
    expect(existsSync(host.path('precious'))).toBe(true);
  });

  test('one that is there already, that comes twice or that a link names is what it is alone', async () => {
    await using host = new LocalHost(userland());
    const [folder, keep] = [host.path('d'), { mode: true, owner: false }];
    mkdirSync(folder);
    mkdirSync(host.path('elsewhere'));
    writeFileSync(join(folder, 'there'), 'old\n', { mode: 0o600 });
    writeFileSync(host.path('elsewhere', 'new'), 'old\n');
    symlinkSync('../elsewhere/new', join(folder, 'link'));
    const files = several(folder, ['one', 'there', 'link', 'two'], { keep });
    const more = [fileStep(join(folder, 'two'), 'again\n', { keep }), ...several(folder, ['three'], { keep })];
    const { state } = await host.bootstrap(planOf(...files, ...more));
    expect(state).toMatchObject({ exitCode: 0 });
    const contents = ['one', 'there', 'two', 'three'].map((name) => readFileSync(join(folder, name), 'utf8'));
    expect(contents).toEqual(['one\n', 'there\n', 'again\n', 'three\n']);
    expect(statSync(join(folder, 'there')).mode).toBe(0o100600);
    expect(readFileSync(host.path('elsewhere', 'new'), 'utf8')).toBe('link\n');
    expect([readdirSync(folder).sort(), readdirSync(host.path('elsewhere'))]).toEqual([['link', 'one', 'there', 'three', 'two'], ['new']]);
  });

  test.each(['mv', 'chmod'])('of a %s that fails the file is named, and those before it are there', async (tool) => {
    await using host = new LocalHost(userland());
    failing(host, tool, '*./two*');
    const files = several(host.path('d'), ['one', 'two', 'three']);
    const { state, output } = await host.bootstrap(planOf(...files));
    expect(state).toMatchObject({ exitCode: 1, command: files[1]?.name });
    expect(output).toBe('refused\n');
    expect(readdirSync(host.path('d'))).toEqual(['one']);
  });

  test('where their folder can’t be made they are written one by one', async () => {
    await using host = new LocalHost(userland());
    mkdirSync(host.path('d', STAGE), { recursive: true });
    await host.bootstrap(planOf(...several(host.path('d'), NAMES)));
    expect(readdirSync(host.path('d')).sort()).toEqual([...NAMES, STAGE].sort());
    for (const name of NAMES) expect(readFileSync(host.path('d', name), 'utf8')).toBe(`${name}\n`);
  });
});

test('of a thousand none is lost', async () => {
  await using host = new LocalHost();
  const names = Array.from({ length: 1000 }, (_, index) => String(index).padStart(4, '0'));
  const { state, commands } = await host.bootstrap(planOf(...several(host.path('d'), names)));
  expect(state).toMatchObject({ exitCode: 0 });
  expect(commands).toHaveLength(1000);
  expect(readdirSync(host.path('d')).sort()).toEqual(names);
  for (const name of names) expect(readFileSync(host.path('d', name), 'utf8')).toBe(`${name}\n`);
});

test.each([
  ['mode', 'chmod', '*/one*'],
  ['place', 'mv', '*/one*'],
])('before they have their %s nobody else gets at them, and of a run that is killed then nothing is left', async (_, tool, pattern) => {
  await using host = new LocalHost();
  mkdirSync(host.path('d'));
  await host.runner().claim(CLAIMANT, cleanupOf(['true']));
  const plan = planOf(...several(host.path('d'), ['one', 'two', 'three']));
  const { work } = await stalled(host, (slowly) => slowly(new AbortController().signal).run(RUN, plan, OPTIONS, ignore), tool, pattern);
  expect(readdirSync(host.path('d'))).toEqual([STAGE]);
  expect(statSync(host.path('d', STAGE)).mode & 0o7777).toBe(0o700);
  expect(readdirSync(host.path('d', STAGE)).sort()).toEqual(['one', 'three', 'two']);
  expect(await host.runner().clean(RUN, ignore)).toMatchObject({ outcome: 'Clean', ran: true });
  expect(readdirSync(host.path('d'))).toEqual([]);
  await work;
});

test('of one that the disk has no room for the system’s words come after the names of all before it', async () => {
  await using host = new LocalHost();
  const folder = host.path('d');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder]);
  try {
    const paths = ['one', 'two', 'three', 'large'].map((name) => join(folder, name));
    const steps = paths.map((path) => fileStep(path, path.endsWith('large') ? 'x'.repeat(100_000) : 'x'));
    const { state } = await host.bootstrap(planOf(...steps));
    expect(state).toMatchObject({ exitCode: 1, command: `write_files ${paths[3]}` });
    const words = readFileSync(host.room('bootstrap', 'output'), 'utf8').split('\n');
    const named = paths.map(
      (path) => expect.stringMatching(`command \\d+ ${Buffer.from(`write_files ${path}`).toString('base64')}$`) as string,
    );
    expect(words.slice(0, 5)).toEqual([...named, expect.stringContaining('No space left')]);
  } finally {
    execFileSync('umount', [folder]);
  }
});

test('what the run brought is on record before its first command, in two files', async () => {
  await using host = new LocalHost();
  writeFileSync(host.path('old'), 'old');
  const steps = [`cp -r ${host.room('created')} ${host.path('noted')}`, ...several(host.path('d'), NAMES), fileStep(host.path('old'), 'x')];
  await host.bootstrap(planOf(...steps, fileStep(host.path('new'), 'x')));
  const [d, here] = [host.path('d'), host.directory];
  expect(readdirSync(host.path('noted')).sort()).toEqual(['beside', 'files']);
  expect(host.read('noted', 'files')).toBe([...NAMES.map((name) => join(d, name)), host.path('new')].join('/'));
  expect(host.read('noted', 'beside')).toBe([join(d, STAGE), join(here, STAGE)].join('/'));
  expect(existsSync(host.path('d', 'one'))).toBe(true);
});
