import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import fc from 'fast-check';
import type { CommandStep } from '../bootstrap/plan.ts';
import { CLAIMANT, LocalHost, OPTIONS, RUN, USERLANDS, collect, fileStep, planOf, until } from './testing/local.ts';
import { stalled } from './testing/stalled.ts';

jest.setTimeout(120_000);

const AS_SCRIPT = { ...OPTIONS, commandsAsScript: true };

function program(name: string, script: string, ...interpreter: string[]): CommandStep {
  return { kind: 'command', name, script, interpreter };
}

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  const commands: [string, string[], { exitCode: number; command?: string; output: string }][] = [
    ['share environment, functions and directory', ['X=1; cd /tmp; f() { echo "$X$PWD"; }', 'f'], { exitCode: 0, output: '1/tmp\n' }],
    ['stop at the first that fails', ['echo a', 'false', 'echo b'], { exitCode: 1, command: 'runcmd[1]', output: 'a\n' }],
    ['may fail in the middle of one', ['false; echo a', 'echo b'], { exitCode: 0, output: 'a\nb\n' }],
    ['end the run with exit N', ['exit 42', 'echo b'], { exitCode: 42, command: 'runcmd[0]', output: '' }],
    ['end the run with exit 0', ['echo a; exit 0', 'echo b'], { exitCode: 0, output: 'a\n' }],
    ['may unset what the runner goes by', ['PATH=/nowhere; IFS=x; set -fu; umask 0; HOME=', 'echo b'], { exitCode: 0, output: 'b\n' }],
    [
      'may leave the loop and the set of the shell',
      ['set -e; echo a', 'false; echo b'],
      { exitCode: 1, command: 'runcmd[1]', output: 'a\n' },
    ],
    ['get no input', ['cat; read x || echo none'], { exitCode: 0, output: 'none\n' }],
    ['have both outputs in one', ['echo a; echo b >&2; echo c'], { exitCode: 0, output: 'a\nb\nc\n' }],
    ['may be ended by a signal', ['trap "exit 9" TERM; kill $$'], { exitCode: 9, command: 'runcmd[0]', output: '' }],
  ];
  test.each(commands)('commands %s', async (__, fragments, { output, ...ending }) => {
    await using host = new LocalHost(userland());
    const done = await host.bootstrap(planOf(...fragments));
    expect(done.output).toBe(output);
    expect(done.state).toEqual(expect.objectContaining({ phase: 'Finished', sentinel: true, ...ending }));
    if (ending.command === undefined) expect(done.state).not.toHaveProperty('command');
  });

  test('what is open at the end of a command goes on in the next, as in one script', async () => {
    await using host = new LocalHost(userland());
    const groups = [
      ['cat <<EOF', 'echo executed', 'EOF'],
      ['cat <<-EOF', '\techo executed', '\tEOF'],
      ["cat <<'E F'", 'echo $executed', 'E F'],
      ['cat <<\\EOF', 'echo $executed', 'EOF'],
      ["cat <<''", 'echo executed', ''],
      ['cat <<EOF', '', 'EOF'],
      ["cat <<';'", 'echo executed', ';'],
      ['cat <<A\na\nA\ncat <<B', 'echo executed', 'B'],
      ['cat <<EOF\n', 'a\n', 'EOF\n'],
      ['cat <<A; cat <<B', 'B', 'echo executed', 'A', 'b', 'B'],
      ['cat <<EOF |', 'x', 'EOF', 'sed s/x/y/'],
      ['(cat <<EOF)', 'echo executed', 'EOF'],
      ['x=$(cat <<EOF', 'echo executed)', 'EOF', ')'],
      ['echo "$x $(cat <<EOF', 'it"s', 'EOF', ')"'],
      ['x=`cat <<EOF', 'executed', 'EOF', '`'],
      ['f() {', 'cat <<EOF', 'echo executed', 'EOF', '}'],
      ['f; cat <<EOF # c', 'ends in a backslash \\', 'EOF', 'EOF'],
      ['echo a \\', 'b'],
      ['X=1 \\', 'sh -c \'echo "$X"\''],
      ['ec\\', 'ho c'],
      ['echo d # \\'],
      ['echo e\\\\'],
      ['echo f \\\n'],
      ['echo g; \\'],
      ['# cat <<EOF'],
      ['echo h # ('],
      ['echo $((1<<2)) "<<EOF"'],
      ['if true; then', 'echo i', 'fi'],
      ['for x in 1 2; do', 'echo "$x', '"', 'done'],
      ['case x in', 'x) echo j ;;', 'esac'],
      ['echo ${none:-', 'k}'],
      ['true &&', 'echo l |', 'cat'],
      ['exec 2>/dev/null'], // bash has a warning
      ['cat <<EOF', 'never closed', 'echo executed'],
    ];
    const fragments = groups.flat();
    const whole = execFileSync('/bin/sh', ['-c', fragments.map((fragment) => `${fragment}\n`).join('')], { encoding: 'utf8' });
    const { state, output, commands: names } = await host.bootstrap(planOf(...fragments));
    expect(output).toBe(whole);
    expect(state).toMatchObject({ exitCode: 0 });
    let index = 0;
    expect(names).toEqual(groups.map((group) => `runcmd[${(index += group.length) - group.length}]`));
    expect(output).not.toMatch(/^executed/m);
  });

  test('a syntax error ends the run at its command', async () => {
    await using host = new LocalHost(userland());
    const { state, output } = await host.bootstrap(planOf('echo a', 'if then', 'echo b'));
    expect(state).toMatchObject({ phase: 'Finished', command: 'runcmd[1]' });
    expect(state).not.toMatchObject({ exitCode: 0 });
    expect(output).toMatch(/^a\n(?!.*b\n)/s);
  });

  test('as one script the first failure within a command ends the run, and a construct may go over several', async () => {
    await using host = new LocalHost(userland());
    const fragments = ['if true; then', 'echo a', 'fi', 'true &&', 'echo b', 'echo \\', 'c', 'X=1', 'echo $X; false; echo no'];
    const { state, output, commands: names } = await host.bootstrap(planOf(...fragments), AS_SCRIPT);
    expect(output).toBe('a\nb\nc\n1\n');
    expect(state).toMatchObject({ exitCode: 1, command: 'runcmd[8]' });
    expect(names).toEqual(['runcmd[0]', 'runcmd[3]', 'runcmd[5]', 'runcmd[7]', 'runcmd[8]']);
  });

  test('files are written between commands, complete and with their mode and owner', async () => {
    await using host = new LocalHost(userland());
    const path = host.path('a', 'b', 'file');
    const steps = [
      'X=kept',
      fileStep(path, 'one\n', { mode: 0o4751, owner: 'daemon:bin' }),
      `cat ${path}; echo $X`,
      fileStep(path, 'two\n', { append: true, mode: 0o600 }),
    ];
    const { state, output, commands: names } = await host.bootstrap(planOf(...steps));
    expect(state).toMatchObject({ exitCode: 0 });
    expect(output).toBe('one\nkept\n');
    expect(names).toEqual(['runcmd[0]', `write_files ${path}`, 'runcmd[2]', `write_files ${path}`]);
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path)).toMatchObject({ mode: 0o100600, uid: 0, gid: 0 });
    expect(statSync(host.path('a', 'b')).mode & 0o7777).toBe(0o755);
    expect(readdirSync(host.path('a', 'b'))).toEqual(['file']);
  });

  test.each([
    ['root', [0, 2]],
    [':daemon', [1, 1]],
    ['root:root', [0, 0]],
    [undefined, [0, 0]],
  ])('of the owner of a file that is there already, %s leaves the rest as it is', async (owner, [uid, gid]) => {
    await using host = new LocalHost(userland());
    const path = host.path('a *', 'file');
    const again = fileStep(path, 'two\n', owner === undefined ? {} : { owner });
    const { state } = await host.bootstrap(planOf(fileStep(path, 'one\n', { owner: 'daemon:bin' }), again));
    expect(state).toMatchObject({ exitCode: 0 });
    expect(statSync(path)).toMatchObject({ uid, gid });
  });

  test.each([
    [{ mode: true, owner: true }, [0o4751, 1, 2]],
    [{ mode: true, owner: false }, [0o4751, 3, 2]],
    [{ mode: false, owner: true }, [0o600, 1, 2]],
  ])('a file that is there already keeps %j', async (keep, [mode, uid, gid]) => {
    await using host = new LocalHost(userland());
    const [path, fresh] = [host.path('there'), host.path('new')];
    const added = { mode: 0o600, owner: 'sys', append: true, keep };
    const steps = [
      fileStep(path, 'one\n', { mode: 0o4751, owner: 'daemon:bin' }),
      fileStep(path, 'two\n', added),
      fileStep(fresh, '', added),
    ];
    expect((await host.bootstrap(planOf(...steps))).state).toMatchObject({ exitCode: 0 });
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    expect(statSync(path)).toMatchObject({ mode: 0o100000 | (mode ?? 0), uid, gid });
    expect(statSync(fresh)).toMatchObject({ mode: 0o100600, uid: 3, gid: 0 });
  });

  test('what has an interpreter runs on its own', async () => {
    await using host = new LocalHost(userland());
    const steps = [
      'export X=shared; cd /; umask 0',
      program('scripts[0]', 'echo "${X-none} $(pwd) $(umask) $1"', '/bin/sh'),
      program('scripts[1]', '#!/bin/sh -e\necho itself\n'),
      program('scripts[2]', 'exit 5', '/bin/sh', '-u'),
    ];
    const { state, output } = await host.bootstrap(planOf(...steps), { ...OPTIONS, workingDir: host.path('it is $HERE') });
    expect(output).toBe(`none ${host.path('it is $HERE')} 0022 \nitself\n`);
    expect(state).toMatchObject({ exitCode: 5, command: 'scripts[2]' });
  });
});

test('each shared shell keeps its own state, and exit 0 ends that shell alone', async () => {
  await using host = new LocalHost();
  const steps = [
    { kind: 'command', name: 'bootcmd[0]', script: 'X=1; cd /tmp; set -f', shell: 'bootcmd' } as const,
    { kind: 'command', name: 'bootcmd[1]', script: 'echo "$X$PWD"; exit 0', shell: 'bootcmd' } as const,
    { kind: 'command', name: 'bootcmd[2]', script: 'echo not reached', shell: 'bootcmd' } as const,
    fileStep(host.path('f'), 'written\n'),
    `cat ${host.path('f')}; echo "\${X-none}$PWD"; X=2`,
    'echo $X; exit 0',
    program('script', 'echo after', '/bin/sh'),
  ];
  const { state, output } = await host.bootstrap(planOf(...steps));
  expect(output).toBe('1/tmp\nwritten\nnone/\n2\nafter\n');
  expect(state).toMatchObject({ exitCode: 0 });
});

test('commands get an environment of their own', async () => {
  await using host = new LocalHost();
  const { output } = await host.bootstrap(planOf('env | sort; umask; ls /proc/self/fd | tr "\\n" " "'), { ...OPTIONS, workingDir: '/tmp' });
  expect(output.split('\n')).toEqual([
    `CLUSTER_API_PROVIDER_REMOTE=/${RUN}/bootstrap/`,
    'HOME=/root',
    'LANG=C.UTF-8',
    'LOGNAME=root',
    `PATH=${host.paths.path}`,
    'PWD=/tmp',
    'SHELL=/bin/sh',
    'USER=root',
    '0022',
    expect.stringMatching(/^0 1 2 /),
  ]);
});

test('an owner that a command makes is known when the file is written; one that nobody made ends the run', async () => {
  await using host = new LocalHost();
  const { state, output } = await host.bootstrap(planOf('echo first', fileStep(host.path('f'), 'x', { owner: 'no-such-user' })));
  expect(state).toMatchObject({ exitCode: 1, command: `write_files ${host.path('f')}` });
  expect(output).toContain('no-such-user');
  expect(readdirSync(host.directory).sort()).toEqual(['run', 'state']);
});

test('files are written through symbolic links, as cloud-init does', async () => {
  await using host = new LocalHost();
  writeFileSync(host.path('target'), 'old');
  symlinkSync('target', host.path('link'));
  symlinkSync('new', host.path('dangling'));
  await host.bootstrap(planOf(fileStep(host.path('link'), 'a'), fileStep(host.path('dangling'), 'b')));
  expect([host.read('target'), host.read('new')]).toEqual(['a', 'b']);
  expect(lstatSync(host.path('link')).isSymbolicLink()).toBe(true);
});

test('a program that is running is replaced, and goes on as it was', async () => {
  await using host = new LocalHost();
  const busy = host.path('busy');
  copyFileSync('/bin/sleep', busy);
  chmodSync(busy, 0o755);
  const running = spawn(busy, ['60']);
  await once(running, 'spawn');
  try {
    expect(() => writeFileSync(busy, 'x')).toThrow(/ETXTBSY/);
    const { state } = await host.bootstrap(planOf(fileStep(busy, '#!/bin/sh\necho new\n', { mode: 0o755 }), `test "$(${busy})" = new`));
    expect(state).toMatchObject({ exitCode: 0 });
    expect(running.exitCode).toBeNull();
  } finally {
    running.kill();
  }
});

test('a folder in the place of a file ends the run with a sentence', async () => {
  await using host = new LocalHost();
  mkdirSync(host.path('folder'));
  const { state, output } = await host.bootstrap(planOf(fileStep(host.path('folder'), 'a')));
  expect(state).toMatchObject({ exitCode: 1 });
  expect(output).toBe(`${host.path('folder')} is a directory\n`);
});

test('a working directory that cannot be made ends the run and is named', async () => {
  await using host = new LocalHost();
  const { state } = await host.bootstrap(planOf('true'), { ...OPTIONS, workingDir: '/proc/nowhere' });
  expect(state).toMatchObject({ exitCode: 1, command: 'workingDir' });
});

test('binary content arrives byte for byte', async () => {
  const contents = fc.sample(fc.uint8Array({ maxLength: 5000 }), 30);
  await using host = new LocalHost();
  await host.bootstrap(planOf(...contents.map((content, index) => fileStep(host.path('files', String(index)), content))));
  contents.forEach((content, index) => expect(readFileSync(host.path('files', String(index))).equals(content)).toBe(true));
});

describe('the sentinel', () => {
  test('of an earlier run is removed first', async () => {
    await using host = new LocalHost();
    writeFileSync(host.paths.sentinel, 'stale');
    expect((await host.bootstrap({ ...planOf(`[ ! -e ${host.paths.sentinel} ]`), expectsSentinel: true })).state).toMatchObject({
      exitCode: 0,
      sentinel: false,
    });
  });

  test('of this run is reported', async () => {
    await using host = new LocalHost();
    const { state } = await host.bootstrap({ ...planOf(`touch ${host.paths.sentinel}; exit 0`, 'false'), expectsSentinel: true });
    expect(state).toMatchObject({ exitCode: 0, sentinel: true });
  });
});

test('a shell that is killed is a failure of its command', async () => {
  await using host = new LocalHost();
  expect((await host.bootstrap(planOf('true', 'kill -9 $$'))).state).toMatchObject({ exitCode: 137, command: 'runcmd[1]' });
});

test('what a command leaves in the background does not hold up the end', async () => {
  await using host = new LocalHost();
  const { state } = await host.bootstrap(planOf('setsid sleep 60 & echo $!', 'sleep 61 &'));
  expect(state).toMatchObject({ exitCode: 0 });
});

describe('the data leaves the host', () => {
  const plan = planOf('echo printed');

  test('with the end of the run, without the operator', async () => {
    await using host = new LocalHost();
    const { state } = await host.bootstrap(plan);
    expect(state).toMatchObject({ phase: 'Finished' });
    expect(readdirSync(host.room('bootstrap')).filter((name) => name.startsWith('data'))).toEqual([]);
  });

  test.each([
    ['its output too after a success', plan, false],
    ['its output stays after a failure', planOf('echo printed; false'), true],
    ['its output stays where the sentinel is missing', { ...plan, expectsSentinel: true }, true],
  ])('%s', async (_, each, stays) => {
    await using host = new LocalHost();
    await host.bootstrap(each);
    await host.runner().tidy(RUN);
    expect(existsSync(host.room('bootstrap', 'output'))).toBe(stays);
    expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Finished', outputTail: stays ? 'printed\n' : '' });
  });

  test('its output too where the process that has told of the success still lives', async () => {
    await using host = new LocalHost();
    await host.runner().claim(CLAIMANT, undefined);
    const { work, goOn } = await stalled(
      host,
      (slowly) => slowly(new AbortController().signal).run(RUN, plan, OPTIONS, collect().on),
      'sync',
      '*/result*',
    );
    await host.runner().tidy(RUN);
    expect(existsSync(host.room('bootstrap', 'output'))).toBe(false);
    goOn();
    expect(await work).toMatchObject([{ status: 'fulfilled', value: { phase: 'Finished', exitCode: 0 } }]);
  });

  test('when the run has vanished and is tidied; while it runs nothing is touched', async () => {
    await using host = new LocalHost();
    await host.runner().claim(CLAIMANT, undefined);
    await host.start(planOf('sleep 60'));
    const data = (): string[] => readdirSync(host.room('bootstrap')).filter((name) => name.startsWith('data'));
    await host.runner().tidy(RUN);
    expect(data()).toHaveLength(1);
    process.kill(host.pid(), 'SIGKILL');
    await host.runner().follow(RUN, 0, collect().on);
    await host.runner().tidy(RUN);
    expect(data()).toEqual([]);
  });
});

test('a device is written to and stays one', async () => {
  await using host = new LocalHost();
  execFileSync('mknod', [host.path('null'), 'c', '1', '3']);
  chmodSync(host.path('null'), 0o600);
  const { state } = await host.bootstrap(planOf(fileStep(host.path('null'), 'x')));
  expect(state).toMatchObject({ exitCode: 0 });
  expect(lstatSync(host.path('null')).isCharacterDevice()).toBe(true);
  await until(() => host.processes().length === 0, 'the run to end');
});
