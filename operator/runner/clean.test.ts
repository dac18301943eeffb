import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { CLAIMANT, LocalHost, OPTIONS, RUN, USERLANDS, cleanupOf, collect, fileStep, planOf, until } from './testing/local.ts';
import { stalled } from './testing/stalled.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import type { Plan } from '../bootstrap/plan.ts';

jest.setTimeout(120_000);

const ignore = (): void => undefined;

/** Claims and runs to the end. */
async function ran(host: LocalHost, cleanup: CleanupPlan | undefined, plan: Plan = planOf('true')): Promise<void> {
  await host.runner().claim(CLAIMANT, cleanup);
  await host.runner().run(RUN, plan, OPTIONS, ignore);
}

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('commands run in order, then the files of the run and its sentinel go, then the checks, then the claim', async () => {
    await using host = new LocalHost(userland());
    const cleanup = cleanupOf(
      ['echo one; export X=1', { script: 'echo "${X-own}"; exit 3', mayFail: true }, `cat ${host.path('new')}`],
      [`[ ! -e ${host.path('new')} ]`, 'echo checked'],
    );
    await ran(host, cleanup, planOf(fileStep(host.path('new'), 'still there\n'), `touch ${host.paths.sentinel}`));
    const seen = collect();
    expect(await host.runner().clean(RUN, seen.on)).toEqual({ outcome: 'Clean', ran: true });
    expect(seen.output()).toBe('one\nown\nexit code 3, going on\nstill there\nchecked\n');
    expect(seen.commands).toEqual([
      ...['cleanUpCommands[0]', 'cleanUpCommands[1]', 'cleanUpCommands[2]', 'files of the bootstrap', 'check 0', 'check 1'],
    ]);
    expect(readdirSync(host.directory).sort()).toEqual(['run', 'state']);
    expect([...readdirSync(host.paths.state), ...readdirSync(host.paths.volatile)]).toEqual([]);
  });

  test('what the run left running is killed first, also what took a session of its own or ignores TERM', async () => {
    await using host = new LocalHost(userland());
    const pids = host.path('pids');
    const commands = [
      `setsid sh -c 'echo $$ >>${pids}; sleep 60' & sleep 61 & echo $! >>${pids}`,
      `env -i sleep 62 & echo $! >>${pids}`,
      `(trap '' TERM; echo >${host.path('deaf')}; sleep 63; sleep 64) & echo $! >>${pids}`,
      `until [ -e ${host.path('deaf')} ]; do :; done; sleep 65`,
    ];
    await host
      .runner()
      .claim(
        CLAIMANT,
        cleanupOf([
          `for pid in $(cat ${pids}); do grep -qs "State:.Z" /proc/$pid/status || [ ! -e /proc/$pid ] || { cat /proc/$pid/stat; exit 1; }; done`,
        ]),
      );
    await host.start(planOf(...commands));
    await until(() => existsSync(host.path('deaf')) && readFileSync(pids, 'utf8').split('\n').length === 5, 'the processes');
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
  });
});

describe('a host that another operator bootstrapped', () => {
  test('is cleaned under the claim that is made for it', async () => {
    await using host = new LocalHost();
    const { state } = await host.runner().claim(CLAIMANT, cleanupOf([`touch ${host.path('cleaned')}`]), { begun: true });
    expect(state).toMatchObject({ phase: 'Vanished' });
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
    expect(existsSync(host.path('cleaned'))).toBe(true);
    expect(existsSync(host.claim())).toBe(false);
  });

  test('never has a bootstrap started', async () => {
    await using host = new LocalHost();
    await host.runner().claim(CLAIMANT, undefined, { begun: true });
    await host.start(planOf(`touch ${host.path('ran')}`));
    expect((await host.runner().follow(RUN, 0, ignore)).phase).toBe('Vanished');
    expect(existsSync(host.path('ran'))).toBe(false);
  });
});

test('a run that finished and left a daemon is cleaned of it', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf([]), planOf(`setsid sleep 60 & echo $! >${host.path('pid')}`));
  const pid = host.read('pid').trim();
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  expect(await host.runner().clean(RUN, ignore)).toMatchObject({ outcome: 'Clean' });
  expect(existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/status`, 'utf8').includes('State:\tZ')).toBe(false);
});

test('kill ends a run, its data leaves the host, and strangers live', async () => {
  await using host = new LocalHost();
  await using stranger = new LocalHost();
  await stranger.runner().claim({ ...CLAIMANT, runID: `${RUN}0` }, undefined);
  await stranger.start(planOf('sleep 60'), { runID: `${RUN}0` });
  await host.runner().claim(CLAIMANT, undefined);
  await host.start(planOf('sleep 60'));
  await host.runner().kill(RUN);
  expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Vanished' });
  expect(readdirSync(host.room('bootstrap')).filter((name) => name.startsWith('data'))).toEqual([]);
  expect((await stranger.runner().inspect(`${RUN}0`)).state).toMatchObject({ phase: 'Running' });
  await stranger.runner().kill(`${RUN}0`);
});

test('a claim that was never started is only removed, and nothing starts any more', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, cleanupOf([`touch ${host.path('cleaned')}`]));
  const racing = Promise.allSettled([0, 1, 2].map(() => host.start(planOf(`touch ${host.path('ran')}`))));
  const result = await host.runner().clean(RUN, ignore);
  await racing;
  await until(() => host.processes().length === 0, 'everything to end');
  expect(result).toEqual({ outcome: 'Clean', ran: existsSync(host.path('cleaned')) });
  expect(existsSync(host.claim())).toBe(false);
});

describe('a start that is overtaken by a release', () => {
  const OTHER = `${RUN}1`;

  const started = (host: LocalHost) =>
    stalled(host, (slowly) => host.start(planOf(`touch ${host.path('ran')}`), { runner: ({ signal }) => slowly(signal) }));

  test('leaves the host free', async () => {
    await using host = new LocalHost();
    await host.runner().claim(CLAIMANT, undefined);
    const { work, goOn } = await started(host);
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
    goOn();
    expect(await work).toMatchObject([{ status: 'rejected', reason: { reason: 'ClaimLost' } }]);
    expect(existsSync(host.claim())).toBe(false);
    expect(existsSync(host.path('ran'))).toBe(false);
  });

  test('changes nothing of the claim that another run has meanwhile', async () => {
    await using host = new LocalHost();
    await host.runner().claim(CLAIMANT, undefined);
    const { work, goOn } = await started(host);
    await host.runner().clean(RUN, ignore);
    await host.runner().claim({ ...CLAIMANT, runID: OTHER }, undefined);
    const claim = readdirSync(host.claim(), { recursive: true });
    goOn();
    expect(await work).toMatchObject([{ status: 'rejected', reason: { reason: 'HostInUse' } }]);
    expect(readdirSync(host.claim(), { recursive: true })).toEqual(claim);
    await host.start(planOf(`touch ${host.path('other')}`), { runID: OTHER });
    expect(await host.runner().follow(OTHER, 0, ignore)).toMatchObject({ phase: 'Finished', exitCode: 0 });
    expect([existsSync(host.path('ran')), existsSync(host.path('other'))]).toEqual([false, true]);
  });
});

test('no claim, or that of another run, is not ours to clean', async () => {
  await using host = new LocalHost();
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
  await host.runner().claim({ ...CLAIMANT, runID: 'run-2' }, cleanupOf([`touch ${host.path('cleaned')}`]));
  await host.start(planOf('true'), { runID: 'run-2' });
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
  expect(readdirSync(host.claim())).toContain('run');
  expect(existsSync(host.path('cleaned'))).toBe(false);
});

test('without a plan nobody knows how, the run is dead and the claim stays', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  await host.start(planOf('sleep 60'));
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'NoCleanupKnown' });
  expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Vanished' });
});

test.each([
  ['the one beside the claim, which fails', cleanupOf(['exit 1'])],
  ['none', undefined],
])('a plan that is given takes the place of %s', async (_, beside) => {
  await using host = new LocalHost();
  await ran(host, beside, planOf(fileStep(host.path('new'), 'x')));
  expect(await host.runner().clean(RUN, ignore)).not.toMatchObject({ outcome: 'Clean' });
  const given = cleanupOf([`cat ${host.path('new')} >${host.path('given')}`], [`[ ! -e ${host.path('new')} ]`]);
  expect(await host.runner().clean(RUN, ignore, given)).toEqual({ outcome: 'Clean', ran: true });
  expect(host.read('given')).toBe('x');
  expect(existsSync(host.claim())).toBe(false);
});

const failures: [string, CleanupPlan, object][] = [
  [
    'a command that must not fail',
    cleanupOf(['echo busy; exit 4', 'echo not reached']),
    { command: 'cleanUpCommands[0]', message: 'failed with exit code 4', outputTail: 'busy\n' },
  ],
  ['a check', cleanupOf([], ['true', 'echo left; false']), { command: 'check 1', message: 'does not hold', outputTail: 'left\n' }],
];
test.each(failures)('%s fails the cleanup, keeps the claim, and may be tried again', async (_, cleanup, expected) => {
  await using host = new LocalHost();
  await ran(host, cleanup);
  for (let round = 0; round < 3; round++) {
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Failed', ...expected });
    expect(await host.runner().claim(CLAIMANT, undefined)).toMatchObject({ state: { phase: 'Finished' } });
  }
});

test('a cleanup whose follower was lost goes on, is followed again and never runs twice at a time', async () => {
  await using host = new LocalHost();
  await ran(
    host,
    cleanupOf([`echo begun >>${host.path('log')}; read x <${host.path('gate')}; echo "$x" >>${host.path('log')}`]),
    planOf(`mkfifo ${host.path('gate')}`),
  );
  const lost = new AbortController();
  const first = host.runner({ signal: lost.signal }).clean(RUN, ignore);
  await until(() => existsSync(host.path('log')), 'the cleanup');
  lost.abort(new Error('lost'));
  await expect(first).rejects.toThrow('lost');
  const more = [0, 1].map(() => {
    const seen = collect();
    return { seen, result: host.runner().clean(RUN, seen.on) };
  });
  await until(() => more.every(({ seen }) => seen.commands.length > 0), 'both followers');
  writeFileSync(host.path('gate'), 'ended\n');
  for (const { result } of more) expect(await result).toEqual({ outcome: 'Clean', ran: true });
  expect(host.read('log')).toBe('begun\nended\n');
});

test('a cleanup that hangs can be given up, killed and tried again', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf([`[ -e ${host.path('go')} ] || sleep 60`]));
  const impatient = new AbortController();
  const hanging = host.runner({ signal: impatient.signal }).clean(RUN, (event) => {
    if (event.kind === 'command') impatient.abort(new Error('too long'));
  });
  await expect(hanging).rejects.toThrow('too long');
  await host.runner().kill(RUN);
  expect(host.processes()).toEqual([]);
  writeFileSync(host.path('go'), '');
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
});

test('a host that another manager released between two looks is clean', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf(['true']));
  const connection = host.connect();
  const exec = connection.exec.bind(connection);
  connection.exec = async (options) => {
    // The second exec would follow the cleanup.
    if (connection.execs === 1) expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
    return exec(options);
  };
  expect(await host.runner({ connection }).clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
});

test('of two managers that clean at a time none takes a cleanup for done that was not run', async () => {
  for (let round = 0; round < 12; round++) {
    await using host = new LocalHost();
    await ran(host, cleanupOf([`echo cleaned >>${host.path('log')}`]));
    const both = await Promise.all([host.runner().clean(RUN, ignore), host.runner().clean(RUN, ignore)]);
    const clean = both.filter(({ outcome }) => outcome === 'Clean').length;
    expect([clean > 0, existsSync(host.path('log'))]).not.toEqual([true, false]);
    expect(existsSync(host.claim())).toBe(clean === 0);
  }
});

test('a cleanup that another manager has confirmed meanwhile has nothing left to do', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf([`echo cleaned >>${host.path('log')}`]));
  const { work, goOn } = await stalled(host, (slowly) => slowly(new AbortController().signal).clean(RUN, ignore));
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
  goOn();
  expect(await work).toEqual([{ status: 'fulfilled', value: { outcome: 'Clean', ran: false } }]);
  expect(host.read('log')).toBe('cleaned\n');
});

test('a cleanup confirmed before its answer was lost is not run again', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf([`echo cleaned >>${host.path('log')}`]));
  const connection = host.connect();
  const lost = new AbortController();
  const runner = host.runner({ connection, signal: lost.signal });
  // The third exec would remove the claim.
  const exec = connection.exec.bind(connection);
  connection.exec = (options) => {
    if (connection.execs === 2) lost.abort(new Error('lost'));
    return exec(options);
  };
  await expect(runner.clean(RUN, ignore)).rejects.toThrow('lost');
  expect(existsSync(host.claim())).toBe(true);
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: true });
  expect(host.read('log')).toBe('cleaned\n');
  expect(existsSync(host.claim())).toBe(false);
});

test('only files that were not there before the run go, newest first, and no folders', async () => {
  await using host = new LocalHost();
  writeFileSync(host.path('old'), 'old');
  writeFileSync(host.path('target'), 'old');
  symlinkSync('target', host.path('link'));
  const plan = planOf(
    fileStep(host.path('old'), 'changed'),
    fileStep(host.path('link'), 'changed'),
    `echo made >${host.path('made')}`,
    fileStep(host.path('made'), 'x'),
    fileStep(host.path('dir', "odd\n'name"), 'x'),
    fileStep(host.path('became'), 'x'),
    `rm ${host.path('became')}; mkdir ${host.path('became')}`,
  );
  await ran(host, cleanupOf([]), plan);
  expect(await host.runner().clean(RUN, ignore)).toMatchObject({ outcome: 'Clean' });
  expect(readdirSync(host.directory).sort()).toEqual(['became', 'dir', 'link', 'old', 'run', 'state', 'target']);
  expect(readdirSync(host.path('dir'))).toEqual([]);
  expect(lstatSync(host.path('became')).isDirectory()).toBe(true);
});

test.each([
  ['', 'pki'],
  [', also where a link leads that the run has changed', 'link'],
])('of a file that was being written when the run was killed nothing is left%s', async (_name, folder) => {
  await using host = new LocalHost();
  for (const each of ['pki', 'before']) mkdirSync(host.path(each));
  symlinkSync(host.path('before'), host.path('link'));
  const plan = planOf(`ln -sfn ${host.path('pki')} ${host.path('link')}`, fileStep(host.path(folder, 'ca.key'), 'a-secret-line'));
  await host.runner().claim(CLAIMANT, cleanupOf(['true']));
  const { work } = await stalled(host, (slowly) => slowly(new AbortController().signal).run(RUN, plan, OPTIONS, ignore), 'chmod', '*');
  expect(await host.runner().clean(RUN, ignore)).toMatchObject({ outcome: 'Clean', ran: true });
  expect(readdirSync(host.path('pki'))).toEqual([]);
  await work;
});

test('a host that was claimed anew is not released by a late cleanup', async () => {
  await using host = new LocalHost();
  await ran(host, cleanupOf([]));
  await host.runner().clean(RUN, ignore);
  await host.runner().claim({ ...CLAIMANT, runID: 'run-2' }, undefined);
  mkdirSync(host.path('x'));
  expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
  expect((await host.runner().inspect(RUN)).holder).toMatchObject({ runID: 'run-2' });
});
