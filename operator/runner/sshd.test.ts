import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { SSHDialer } from '../ssh/dialer.ts';
import { TestSSHD } from '../ssh/testing/sshd.ts';
import type { Connection, Privilege } from '../ssh/types.ts';
import { runnerFactory } from './runner.ts';
import { CLAIMANT, LocalHost, OPTIONS, RUN, cleanupOf, collect, fileStep, planOf, until } from './testing/local.ts';
import type { Runner } from './types.ts';

jest.setTimeout(120_000);

let server: TestSSHD;
beforeAll(async () => {
  server = await TestSSHD.start({ accounts: [{ name: 'tina', sudo: 'nopasswd' }] });
});
afterAll(async () => server.stop());

const SHELL = /Starting session: command/g;
const OPEN = { timeout: 30_000, keepalive: 10_000, legacyAlgorithms: false };

function connect(user: string): Promise<Connection> {
  return new SSHDialer().connect({ ...server.hop({ user }), bastions: [] }, { ...OPEN, signal: new AbortController().signal });
}

function runnerOver(host: LocalHost, connection: Connection, privilege: Privilege, signal = new AbortController().signal): Runner {
  return runnerFactory(host.paths)(connection, privilege, signal);
}

function open(gate: string): void {
  execFileSync('sh', ['-c', 'echo go >"$0"', gate]);
}

describe.each<[string, Privilege]>([
  ['root', 'plain'],
  ['tina', 'sudo'],
])('as %s (%s)', (user, privilege) => {
  test('a whole life over one connection', async () => {
    await using host = new LocalHost();
    const connection = await connect(user);
    const runner = runnerOver(host, connection, privilege);
    const shells = server.log.match(SHELL)?.length ?? 0;
    const { facts } = await runner.claim(CLAIMANT, cleanupOf(['echo cleaned'], [`[ ! -e ${host.path('f')} ]`]));
    expect(facts.hostKey).toBe(connection.hostKey.fingerprint);
    // The one that the run takes is there by then: it would cost two round trips.
    await server.waitForLog(SHELL, shells + 2);
    const seen = collect();
    const plan = planOf(fileStep(host.path('f'), 'x'), 'id -u; echo éé');
    expect(await runner.run(RUN, plan, OPTIONS, seen.on)).toMatchObject({ phase: 'Finished', exitCode: 0, outputTail: '0\néé\n' });
    expect(existsSync(host.room('bootstrap', 'output'))).toBe(false);
    expect(await runner.clean(RUN, seen.on)).toEqual({ outcome: 'Clean', ran: true });
    expect(seen.output()).toBe('0\néé\ncleaned\n');
    expect(existsSync(host.claim())).toBe(false);
    await connection.close();
  });

  test('the run goes on when the connection is cut, nothing of the follow stays, and another goes on from the offset', async () => {
    await using host = new LocalHost();
    const gate = host.path('gate');
    execFileSync('mkfifo', [gate]);
    const first = await connect(user);
    const runner = runnerOver(host, first, privilege);
    await runner.claim(CLAIMANT, undefined);
    const before = collect();
    const lost = runner.run(RUN, planOf(`echo one; read x <${gate}`, 'echo two'), OPTIONS, before.on);
    await until(() => before.output() === 'one\n', 'the first line');
    server.killConnections();
    await expect(lost).rejects.toMatchObject({ reason: 'ConnectionLost' });
    await until(() => !host.processes().some(({ command }) => command.startsWith('tail ')), 'the follower to end');
    const second = await connect(user);
    open(gate);
    const after = collect();
    const state = await runnerOver(host, second, privilege).follow(RUN, before.events.at(-1)!.offset, after.on);
    expect(state).toMatchObject({ phase: 'Finished', exitCode: 0 });
    expect(after.output()).toBe('two\n');
    await Promise.all([first.close(), second.close()]);
  });

  test('a follow that is given up ends on the host and leaves the connection usable', async () => {
    await using host = new LocalHost();
    const connection = await connect(user);
    await runnerOver(host, connection, privilege).claim(CLAIMANT, undefined);
    const enough = new AbortController();
    const follow = runnerOver(host, connection, privilege, enough.signal).run(RUN, planOf('echo one; sleep 60'), OPTIONS, (event) => {
      if (event.kind === 'output') enough.abort(new Error('enough'));
    });
    await expect(follow).rejects.toThrow('enough');
    await until(() => !host.processes().some(({ command }) => command.startsWith('tail ')), 'the follower to end');
    await runnerOver(host, connection, privilege).kill(RUN);
    expect((await runnerOver(host, connection, privilege).inspect(RUN)).state).toMatchObject({ phase: 'Vanished' });
    await connection.close();
  });
});
