import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import fc from 'fast-check';
import {
  CLAIMANT,
  LocalConnection,
  LocalHost,
  OPTIONS,
  RUN,
  USERLANDS,
  cleanupOf,
  fileStep,
  planOf,
  processes,
  until,
} from './testing/local.ts';

jest.setTimeout(120_000);

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('of two starts at a time one runs the plan', async () => {
    for (let round = 0; round < 12; round++) {
      await using host = new LocalHost(userland());
      await host.runner().claim(CLAIMANT, undefined);
      const plan = planOf(`echo ran >>${host.path('log')}`);
      await Promise.all([host.start(plan), host.start(plan)]);
      const state = await host.runner().follow(RUN, 0, () => undefined);
      expect(state).toMatchObject({ phase: 'Finished', exitCode: 0 });
      // It may not have begun yet when the other one has ended.
      const left = () => readdirSync(host.room('bootstrap')).sort().join(' ');
      await until(() => host.processes().length === 0 && left() === 'boot current result started succeeded', 'the loser to give way');
      expect(host.read('log')).toBe('ran\n');
    }
  });

  test('a start that is cut off on its way leaves nothing that could run', async () => {
    await using host = new LocalHost(userland());
    await host.runner().claim(CLAIMANT, undefined);
    const plan = planOf(fileStep(host.path('f'), 'x'.repeat(50_000)), `echo ran >>${host.path('log')}`);
    for (const cut of [0.05, 0.3, 0.6, 0.9, 0.9999]) {
      const connection = host.connect();
      connection.cut = cut;
      await expect(host.start(plan, { runner: ({ signal }) => host.runner({ signal, connection }) })).rejects.toMatchObject({
        reason: 'RunnerProtocol',
      });
    }
    expect(existsSync(host.room('bootstrap'))).toBe(false);
    await host.start(plan);
    expect(await host.runner().follow(RUN, 0, () => undefined)).toMatchObject({ phase: 'Finished', exitCode: 0 });
    expect(host.read('log')).toBe('ran\n');
  });
});

test('a start whose answer was lost is not repeated, also long after the end', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  const plan = planOf(`echo ran >>${host.path('log')}`);
  const lost = new AbortController();
  const start = host.runner({ signal: lost.signal }).run(RUN, plan, OPTIONS, () => undefined);
  await until(() => existsSync(host.room('bootstrap')), 'the upload');
  lost.abort(new Error('connection lost'));
  await expect(start).rejects.toThrow('connection lost');
  await host.start(plan);
  await host.runner().follow(RUN, 0, () => undefined);
  await host.start(plan);
  await host.runner().tidy(RUN);
  await host.start(plan);
  expect(host.read('log')).toBe('ran\n');
});

test('it is on record before the first command', async () => {
  await using host = new LocalHost();
  const { output } = await host.bootstrap(planOf(`cat ${host.room('bootstrap', 'started')}`));
  expect(output).toMatch(/^\d+ \d+ \d+\n$/);
});

test('a runner killed at any moment has vanished and is never started again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 60 }), async (milliseconds) => {
      await using host = new LocalHost();
      await host.runner().claim(CLAIMANT, undefined);
      const plan = planOf(`echo ran >>${host.path('log')}`, 'sleep 0.02', 'sleep 0.02', `echo over; sleep 60`);
      await host.start(plan);
      const followed = host.runner().follow(RUN, 0, () => undefined);
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      process.kill(host.pid(), 'SIGKILL');
      expect(await followed).toMatchObject({ phase: 'Vanished' });
      await host.start(plan);
      expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Vanished' });
      expect((existsSync(host.path('log')) ? host.read('log') : '').split('ran').length).toBeLessThanOrEqual(2);
    }),
    { numRuns: 12 },
  );
});

test('after its runner died, no further command of a run begins', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  execFileSync('mkfifo', [host.path('gate')]);
  await host.start(planOf(`echo 1 >>${host.path('log')}; read x <${host.path('gate')}`, `echo 2 >>${host.path('log')}`));
  await until(() => existsSync(host.path('log')), 'the first command');
  process.kill(host.pid(), 'SIGKILL');
  execFileSync('sh', ['-c', 'echo go >"$0"', host.path('gate')]);
  await until(() => host.processes().length === 0, 'the commands to end');
  expect(host.read('log')).toBe('1\n');
});

test('after a reboot the run has vanished, although its number may live again', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  await host.start(planOf('sleep 60'));
  await until(() => existsSync(host.room('bootstrap', 'current')), 'the first command');
  renameSync(host.paths.volatile, `${host.paths.volatile}.gone`);
  expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Vanished', startedAt: expect.any(Date) as Date });
  renameSync(`${host.paths.volatile}.gone`, host.paths.volatile);
});

test('data that another boot left unstarted is not run', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  const stale = host.room('bootstrap', 'data.another-boot');
  mkdirSync(stale, { recursive: true });
  const { output } = await host.bootstrap(planOf('echo fresh'));
  expect(output).toBe('fresh\n');
  expect(existsSync(stale)).toBe(false);
});

test('without a claim, or with that of another run, nothing starts', async () => {
  await using host = new LocalHost();
  const start = (): Promise<void> => host.start(planOf('true'));
  await expect(start()).rejects.toMatchObject({ reason: 'ClaimLost', message: `the host has no claim of run ${RUN}` });
  await host.runner().claim({ ...CLAIMANT, runID: 'run-2' }, undefined);
  await expect(start()).rejects.toMatchObject({ reason: 'HostInUse' });
});

test('256 KiB in 200 files are one exec, byte for byte', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  const contents = Array.from({ length: 200 }, (_, index) =>
    Buffer.from(Uint8Array.from({ length: 1310 }, (__, at) => (at * 7 + index) % 256)),
  );
  const connection = host.connect();
  await host.start(planOf(...contents.map((content, index) => fileStep(host.path('files', String(index)), content))), {
    runner: ({ signal }) => host.runner({ signal, connection }),
  });
  expect(connection.execs).toBe(1);
  expect(await host.runner().follow(RUN, 0, () => undefined)).toMatchObject({ exitCode: 0 });
  contents.forEach((content, index) => expect(readFileSync(host.path('files', String(index))).equals(content)).toBe(true));
});

test('no content of files and commands is ever on a command line', async () => {
  await using host = new LocalHost();
  const secret = 'abcdef.0123456789abcdef';
  await host.runner().claim(CLAIMANT, cleanupOf([`: ${secret}`]));
  const plan = planOf(fileStep(host.path('file'), secret), `: ${secret}; read x <${host.path('gate')}`);
  execFileSync('mkfifo', [host.path('gate')]);
  let sweeping = true;
  let looks = 0;
  const swept = (async () => {
    while (sweeping) {
      looks++;
      expect(processes().filter(({ command }) => command.includes(secret))).toEqual([]);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await host.start(plan);
  await until(() => existsSync(host.path('file')), 'the file');
  execFileSync('sh', ['-c', 'echo go >"$0"', host.path('gate')]);
  await host.runner().follow(RUN, 0, () => undefined);
  sweeping = false;
  await swept;
  expect(looks).toBeGreaterThan(3);
});

/** The host's state is on a disk of this size. */
async function onDisk(size: string, work: (host: LocalHost) => Promise<void>): Promise<void> {
  await using host = new LocalHost();
  mkdirSync(host.paths.state);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', host.paths.state]);
  try {
    await work(host);
  } finally {
    // Lazily: a process of the run that is just ending may have a file of it open.
    execFileSync('umount', ['-l', host.paths.state]);
  }
}

test('a full disk is said in the words of the system', () =>
  onDisk('200k', async (host) => {
    await host.runner().claim(CLAIMANT, undefined);
    const start = host.start(planOf(fileStep(host.path('f'), 'x'.repeat(300_000))));
    await expect(start).rejects.toMatchObject({ reason: 'HostNotWritable', message: expect.stringContaining('No space left') as string });
    expect(readdirSync(host.room('bootstrap'))).toEqual([]);
    await host.start(planOf('true'));
    expect(await host.runner().follow(RUN, 0, () => undefined)).toMatchObject({ exitCode: 0 });
    expect(await host.runner().clean(RUN, () => undefined)).toEqual({ outcome: 'NoCleanupKnown' });
  }));

test('commands that the disk has no room for once more are not run in part', () =>
  onDisk('400k', async (host) => {
    const { state } = await host.bootstrap(planOf(`echo ran >>${host.path('log')}\nif true; then`, `: ${'x'.repeat(200_000)}\nfi`));
    expect(state).toMatchObject({ phase: 'Finished' });
    expect(state).not.toMatchObject({ exitCode: 0 });
    expect(existsSync(host.path('log'))).toBe(false);
  }));

test('a disk that is full in the end does not lose how the run ended', () =>
  onDisk('400k', async (host) => {
    const { state } = await host.bootstrap(planOf(`yes | head -c 1000000 >${host.paths.state}/full; exit 7`));
    expect(state).toMatchObject({ phase: 'Finished', exitCode: 7 });
  }));

test('over a connection of another shell the run goes on when the connection is gone', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  execFileSync('mkfifo', [host.path('gate')]);
  const connection = new LocalConnection(['/bin/bash', '--posix', '-s']);
  await host.start(planOf(`read x <${host.path('gate')}; echo "got $x"`), { runner: ({ signal }) => host.runner({ connection, signal }) });
  execFileSync('sh', ['-c', 'echo it >"$0"', host.path('gate')]);
  const state = await host.runner().follow(RUN, 0, () => undefined);
  expect(state).toMatchObject({ phase: 'Finished', outputTail: 'got it\n' });
});
