import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Connections, failure, run } from './testing/connections.ts';
import type { SSHDOptions, TestSSHD } from './testing/sshd.ts';
import type { Connection } from './types.ts';

jest.setTimeout(60_000);

const connections = new Connections();
const ACCOUNTS: SSHDOptions['accounts'] = [
  { name: 'free', sudo: 'nopasswd' },
  { name: 'asked', sudo: 'password' },
  { name: 'barred', sudo: 'none' },
  { name: 'shut', shell: '/usr/sbin/nologin' },
  { name: 'quiet', shell: '/bin/true' },
  { name: 'noisy', sudo: 'nopasswd' },
];
let sshd: TestSSHD;
beforeAll(async () => {
  sshd = await connections.start({ accounts: ACCOUNTS });
});
afterAll(() => connections.end());

const as = async (user: string): Promise<Connection> => connections.connect(sshd.target({ user }));

test('sudo without a password is root', async () => {
  const on = await as('free');
  expect(await run(on, 'id -u; exit 5', { privilege: 'sudo' })).toEqual({ exitCode: 5, stdout: '0\n', stderr: '' });
  expect((await run(on, 'id -un')).stdout).toBe('free\n');
});

test.each(['asked', 'barred'])('sudo that wants a password of "%s"', async (user) => {
  const error = await failure(run(await as(user), 'id -u', { privilege: 'sudo' }));
  expect(error).toMatchObject({ reason: 'SudoPasswordRequired' });
  expect(error.message).toContain('NOPASSWD');
  expect(error.message).toContain(user);
});

test('a program that fails as sudo does is still only a program', async () => {
  const result = await run(await as('free'), 'echo "sudo: a password is required" >&2; exit 1', { privilege: 'sudo' });
  expect(result).toEqual({ exitCode: 1, stdout: '', stderr: 'sudo: a password is required\n' });
});

test('sudo in other words, with a warning before a run, or missing', async () => {
  const fake = async (script: string): Promise<TestSSHD> => {
    const path = join(sshd.directory, `bin-${randomUUID()}`);
    mkdirSync(path);
    if (script) writeFileSync(join(path, 'sudo'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return connections.start({ config: [`SetEnv PATH=${path}`] });
  };
  const translated = await fake('echo "sudo: Ein Passwort ist notwendig" >&2; exit 1');
  expect(await failure(run(await connections.connect(translated.target()), 'true', { privilege: 'sudo' }))).toMatchObject({
    reason: 'SudoPasswordRequired',
  });
  const greeted = await fake('echo "Welcome" >&2; echo "sudo: a password is required" >&2; exit 1');
  expect(await failure(run(await connections.connect(greeted.target()), 'true', { privilege: 'sudo' }))).toMatchObject({
    reason: 'SudoPasswordRequired',
    message: expect.stringContaining('(exit code 1, "sudo: a password is required")') as string,
  });
  const warning = await fake('echo "sudo: unable to resolve host x: Name or service not known" >&2; shift; exec "$@"');
  expect(await run(await connections.connect(warning.target()), 'exit 1', { privilege: 'sudo' })).toEqual({
    exitCode: 1,
    stdout: '',
    stderr: '',
  });
  const terminal = await fake('echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1');
  expect(await failure(run(await connections.connect(terminal.target()), 'true', { privilege: 'sudo' }))).toMatchObject({
    reason: 'SudoUnavailable',
    message: expect.stringMatching(/wants a terminal \(.*requiretty/s) as string,
  });
  const missing = await fake('');
  const error = await failure(run(await connections.connect(missing.target()), 'true', { privilege: 'sudo' }));
  expect(error).toMatchObject({ reason: 'SudoUnavailable', message: expect.stringMatching(/not installed/) as string });
});

test.each(['shut', 'quiet'])('an account whose shell runs nothing ("%s") is no success', async (user) => {
  expect(await failure(run(await as(user), 'true'))).toMatchObject({
    reason: 'ChannelRefused',
    message: expect.stringMatching(/login shell/) as string,
  });
});

test('a login shell’s own words are not the program’s', async () => {
  writeFileSync(join(sshd.directory, 'noisy', '.bashrc'), 'echo Welcome; echo Beware >&2\n');
  const on = await as('noisy');
  expect(await run(on, 'echo mine; echo mine too >&2')).toEqual({ exitCode: 0, stdout: 'mine\n', stderr: 'mine too\n' });
  expect((await run(on, 'echo mine', { privilege: 'sudo' })).stdout).toBe('mine\n');
});
