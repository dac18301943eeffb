import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLAIMANT, LocalConnection, LocalHost, RUN, USERLANDS, cleanupOf, planOf, processes } from './testing/local.ts';
import { RunnerError, type Claimant } from './types.ts';

jest.setTimeout(120_000);

const other: Claimant = { runID: 'run-2', machine: { namespace: 'other', name: 'elsewhere', uid: 'uid-2' } };

function claimant(runID: string): Claimant {
  return { ...CLAIMANT, runID };
}

/** Everything under a folder, with its permissions. */
function tree(directory: string): [string, number][] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
}

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('one of two claimants at a time gets the host, and the other is told who has it', async () => {
    await using host = new LocalHost(userland());
    for (let round = 0; round < 12; round++) {
      const runs = [`a-${round}`, `b-${round}`];
      const outcomes = await Promise.allSettled(runs.map((runID) => host.runner().claim(claimant(runID), cleanupOf(['true']))));
      const [winner, ...more] = runs.filter((_, index) => outcomes[index]?.status === 'fulfilled');
      expect(more).toEqual([]);
      expect(readFileSync(host.claim('run'), 'utf8')).toBe(`${winner!}\n`);
      expect(outcomes.find((each) => each.status === 'rejected')?.reason).toMatchObject({
        reason: 'HostInUse',
        message: `the host is claimed by run ${winner!} of machine default/worker (uid uid-1)`,
      });
      expect(readdirSync(host.paths.state)).toEqual(['claim']);
      expect(readdirSync(host.claim()).sort()).toEqual(['name', 'namespace', 'run', `run.${winner!}`, 'uid']);
      expect(readdirSync(host.claim(`run.${winner!}`))).toEqual(['cleanup']);
      expect(await host.runner().clean(winner!, () => undefined)).toEqual({ outcome: 'Clean', ran: false });
      expect(readdirSync(host.paths.state)).toEqual([]);
    }
  });

  test('a program that is cut off anywhere claims nothing', async () => {
    await using host = new LocalHost(userland());
    for (const cut of [0.1, 0.5, 0.9, 0.95, 0.99, 0.9995]) {
      const connection = host.connect();
      connection.cut = cut;
      await expect(host.runner({ connection }).claim(CLAIMANT, cleanupOf(['true']))).rejects.toMatchObject({ reason: 'RunnerProtocol' });
      expect(existsSync(host.paths.state)).toBe(false);
    }
  });
});

test('the same run may claim again, and keeps its cleanup plan', async () => {
  await using host = new LocalHost();
  const first = await host.runner().claim(CLAIMANT, cleanupOf(['true']));
  const before = tree(host.claim());
  const again = await host.runner().claim(CLAIMANT, undefined);
  expect(again).toEqual(first);
  expect(tree(host.claim())).toEqual(before);
  expect(first.state).toEqual({ phase: 'Claimed' });
});

test('facts are what the host says of itself', async () => {
  await using host = new LocalHost();
  const { facts, release, libc } = await host.runner().claim(CLAIMANT, undefined);
  const said = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' }).trim();
  expect(facts).toEqual({
    hostname: said('uname -n'),
    kernel: said('uname -r'),
    architecture: said('uname -m'),
    machineID: said('cat /etc/machine-id'),
    os: said('. /etc/os-release; echo "$PRETTY_NAME"'),
    cpus: Number(said('nproc')),
    memory: Number(said('grep MemTotal /proc/meminfo | tr -dc 0-9')) * 1024,
    hostKey: 'SHA256:test',
  });
  expect(release).toMatchObject({ ID: said('. /etc/os-release; echo "$ID"'), VERSION_ID: said('. /etc/os-release; echo "$VERSION_ID"') });
  expect(release['VERSION']).toBe(said('. /etc/os-release; echo "$VERSION"'));
  expect(libc).toBe(said('getconf GNU_LIBC_VERSION'));
  expect(await host.runner().inspect(RUN)).toMatchObject({ facts, release, libc });
});

test('inspect names the holder to everybody and the state only to its run', async () => {
  await using host = new LocalHost();
  expect(await host.runner().inspect(RUN)).toMatchObject({ state: undefined, holder: undefined });
  await host.runner().claim(other, undefined);
  expect(await host.runner().inspect(RUN)).toMatchObject({ state: undefined, holder: other });
  expect(await host.runner().inspect(other.runID)).toMatchObject({ state: { phase: 'Claimed' }, holder: other });
});

test('nobody but root can read a claim', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, cleanupOf(['true']));
  for (const [, mode] of [...tree(host.paths.state), ['state', statSync(host.paths.state).mode & 0o777] as const]) {
    expect(mode & 0o077).toBe(0);
  }
});

test('what a power cut left of a claim is swept away, and nobody is disturbed who makes one, or puts one back, at the same time', async () => {
  await using host = new LocalHost();
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const present = [`gone.${boot}.1`, `new.${boot}.1`];
  for (const left of ['gone.another-boot.1', 'new.another-boot.1', ...present])
    mkdirSync(join(host.paths.state, left, 'x'), { recursive: true });
  await host.runner().claim(CLAIMANT, undefined);
  expect(readdirSync(host.paths.state).sort()).toEqual(['claim', ...present]);
});

test('a run ID that was copied to another machine is no right to the host', async () => {
  await using host = new LocalHost();
  await host.runner().claim(CLAIMANT, undefined);
  const copy = { ...CLAIMANT, machine: { ...CLAIMANT.machine, name: 'copy' } };
  await expect(host.runner().claim(copy, undefined)).rejects.toMatchObject({ reason: 'HostInUse' });
  // Its UID changes when it is moved.
  await host.runner().claim({ ...CLAIMANT, machine: { ...CLAIMANT.machine, uid: 'after a move' } }, undefined);
});

test.each([
  ['is empty', (path: string) => writeFileSync(path, '')],
  [
    'is a folder',
    (path: string): void => {
      rmSync(path);
      mkdirSync(path);
    },
  ],
])("a claim whose record %s is somebody's all the same", async (_name, spoil) => {
  await using host = new LocalHost();
  await host.runner().claim({ ...CLAIMANT, runID: 'run-2' }, undefined);
  spoil(host.claim('run'));
  const refused = { reason: 'HostNotWritable', message: expect.stringMatching(/the claim on the host/) as string };
  await expect(host.runner().claim(CLAIMANT, undefined)).rejects.toMatchObject(refused);
  await expect(host.runner().inspect('')).rejects.toMatchObject(refused);
  await expect(host.runner().clean(RUN, () => undefined)).rejects.toMatchObject(refused);
  rmSync(host.claim(), { recursive: true });
});

describe('a claim that a person gave up', () => {
  const old = { runID: `${RUN}-old`, machine: { ...CLAIMANT.machine, name: 'old', uid: 'uid-old' } };

  test.each([
    ['its run ID', old.runID],
    ['the UID of its machine', old.machine.uid],
  ])('known by %s, gives way, and what lives of it ends', async (_name, abandoned) => {
    await using host = new LocalHost();
    await host.runner().claim(old, undefined);
    await host.start(planOf('sleep 60'), { runID: old.runID });
    const pid = readFileSync(host.claim(`run.${old.runID}`, 'bootstrap', 'started'), 'utf8').split(' ')[0] ?? '';
    await host.runner().claim(CLAIMANT, undefined, { abandoned });
    expect(readFileSync(host.claim('run'), 'utf8')).toBe(`${RUN}\n`);
    expect(processes().filter((process) => String(process.pid) === pid)).toEqual([]);
    expect((await host.runner().inspect(RUN)).state).toEqual({ phase: 'Claimed' });
  });

  test('is the one that was named, and none that came after it', async () => {
    await using host = new LocalHost();
    await host.runner().claim(old, undefined);
    await expect(host.runner().claim(CLAIMANT, undefined, { abandoned: 'another' })).rejects.toMatchObject({ reason: 'HostInUse' });
    expect(readFileSync(host.claim('run'), 'utf8')).toBe(`${old.runID}\n`);
  });
});

describe('a claim whose machine is gone', () => {
  const gone = { runID: `${RUN}-gone`, machine: { ...CLAIMANT.machine, name: 'gone', uid: 'uid-gone' } };
  const orphan = gone.runID;

  test('goes by itself where nothing began under it, and stays where something did', async () => {
    await using host = new LocalHost();
    expect(await host.runner().withdraw(orphan)).toBe(true);
    await host.runner().claim(gone, cleanupOf(['true']));
    expect(await host.runner().withdraw('another')).toBe(false);
    expect((await host.runner().inspect(orphan)).state).toEqual({ phase: 'Claimed' });
    expect(await host.runner().withdraw(orphan)).toBe(true);
    expect((await host.runner().inspect(orphan)).holder).toBeUndefined();
    await host.runner().claim(gone, cleanupOf(['true']));
    await host.start(planOf('true'), { runID: orphan });
    expect(await host.runner().withdraw(orphan)).toBe(false);
    expect((await host.runner().inspect(orphan)).holder).toEqual(gone);
  });

  test('gives way where nothing began under it, and nothing does any more', async () => {
    await using host = new LocalHost();
    await host.runner().claim(gone, cleanupOf(['true']));
    expect(await host.runner().claim(CLAIMANT, undefined, { orphan })).toMatchObject({ state: { phase: 'Claimed' } });
    expect(readFileSync(host.claim('run'), 'utf8')).toBe(`${RUN}\n`);
    await expect(host.start(planOf('true'), { runID: orphan })).rejects.toMatchObject({ reason: 'HostInUse' });
  });

  test.each([
    ['ran', (host: LocalHost) => host.start(planOf('true'), { runID: orphan })],
    [
      'may have run, as nobody can read',
      (host: LocalHost) => mkdirSync(host.claim(`run.${orphan}`, 'bootstrap', 'started'), { recursive: true }),
    ],
  ])('stays where something %s', async (_name, happens) => {
    await using host = new LocalHost();
    await host.runner().claim(gone, cleanupOf(['true']));
    await happens(host);
    const refused = { reason: 'HostInUse', holder: gone };
    await expect(host.runner().claim(CLAIMANT, undefined, { orphan })).rejects.toMatchObject(refused);
    expect(readFileSync(host.claim('run'), 'utf8')).toBe(`${orphan}\n`);
  });

  test('of what another operator began stays', async () => {
    await using host = new LocalHost();
    await host.runner().claim(gone, cleanupOf(['true']), { begun: true });
    await expect(host.runner().claim(CLAIMANT, undefined, { orphan })).rejects.toMatchObject({ reason: 'HostInUse', holder: gone });
  });

  test('is the one that was named, and none that came after it', async () => {
    await using host = new LocalHost();
    await host.runner().claim(gone, undefined);
    await expect(host.runner().claim(CLAIMANT, undefined, { orphan: 'another' })).rejects.toMatchObject({ reason: 'HostInUse' });
    expect((await host.runner().inspect(orphan)).state).toEqual({ phase: 'Claimed' });
  });
});

test('what login files and others print around and between the answer is not taken for one', async () => {
  await using host = new LocalHost();
  const script = 'echo "motd 0 begin"; printf "no line feed"; (sleep 0.01; echo noise) & /bin/sh -s; echo bye; exit 3';
  const noisy = new LocalConnection(['/bin/sh', '-c', script]);
  expect((await host.runner({ connection: noisy }).claim(CLAIMANT, undefined)).state).toEqual({ phase: 'Claimed' });
});

test('a shell that says something else is reported with its words', async () => {
  await using host = new LocalHost();
  const refusing = new LocalConnection(['/bin/sh', '-c', 'cat >/dev/null; echo This account is not available. >&2; exit 1']);
  const claim = host.runner({ connection: refusing }).claim(CLAIMANT, undefined);
  await expect(claim).rejects.toThrow(RunnerError);
  await expect(claim).rejects.toMatchObject({
    reason: 'RunnerProtocol',
    message: "the shell on the host ended with exit code 1 and without the runner's answer; it said: This account is not available.",
  });
});

test('missing tools are named', async () => {
  await using host = new LocalHost();
  const path = host.path('bin');
  mkdirSync(path);
  const tools = [
    'cat',
    'chmod',
    'chown',
    'cp',
    'date',
    'env',
    'grep',
    'ln',
    'ls',
    'mkdir',
    'mv',
    'readlink',
    'rm',
    'sleep',
    'sync',
    'tail',
    'tr',
    'uname',
  ];
  for (const tool of tools) symlinkSync(`/usr/bin/${tool}`, join(path, tool));
  await using poor = new LocalHost({ shell: ['/bin/sh', '-s'], path });
  await expect(poor.runner().claim(CLAIMANT, undefined)).rejects.toMatchObject({
    reason: 'HostUnsuitable',
    message: 'not found on the host: mkfifo base64 setsid',
  });
});

describe('a host that cannot be written', () => {
  /** A shell that sees `mount` over the state folder. */
  function mounted(mount: string): LocalHost {
    const host = new LocalHost();
    mkdirSync(host.paths.state);
    host.shell.splice(
      0,
      2,
      'unshare',
      '--mount',
      '--propagation',
      'private',
      '/bin/sh',
      '-c',
      `${mount} ${host.paths.state} && exec /bin/sh -s`,
    );
    return host;
  }

  test('read-only: in the words of the system', async () => {
    await using host = mounted('mount -t tmpfs -o ro none');
    await expect(host.runner().claim(CLAIMANT, undefined)).rejects.toMatchObject({
      reason: 'HostNotWritable',
      message: expect.stringContaining('Read-only file system') as string,
    });
  });

  test('full: in the words of the system, and nothing is left', async () => {
    await using host = mounted('mount -t tmpfs -o size=8k none');
    const claim = host.runner().claim(CLAIMANT, cleanupOf(['x'.repeat(20_000)]));
    await expect(claim).rejects.toMatchObject({ reason: 'HostNotWritable', message: expect.stringContaining('No space left') as string });
  });

  test('no rights: in the words of the system', async () => {
    await using host = new LocalHost();
    mkdirSync(host.paths.state);
    writeFileSync(join(host.paths.state, 'x'), '');
    const shell = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '/bin/sh', '-s'];
    await expect(host.runner({ connection: new LocalConnection(shell) }).claim(CLAIMANT, undefined)).rejects.toMatchObject({
      reason: 'HostNotWritable',
      message: expect.stringContaining('Permission denied') as string,
    });
  });
});
