import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { CLAIMANT, LocalHost, RUN, USERLANDS, cleanupOf, collect, planOf, until } from './testing/local.ts';
import type { OutputEvent } from './types.ts';

jest.setTimeout(120_000);

/** Lets a command that reads the FIFO go on. */
function open(gate: string): void {
  execFileSync('sh', ['-c', 'echo go >"$0"', gate]);
}

/** Starts a run whose commands wait at `gate`. */
async function startGated(host: LocalHost, ...commands: string[]): Promise<string> {
  const gate = host.path('gate');
  execFileSync('mkfifo', [gate]);
  await host.runner().claim(CLAIMANT, cleanupOf([]));
  await host.start(planOf(...commands.map((command) => command.replaceAll('GATE', `read x <${gate}`))));
  return gate;
}

/** Processes that a follow leaves on the host: what is no part of the run. */
function followers(host: LocalHost): string[] {
  return host.processes().flatMap(({ command }) => (/^tail /.test(command) ? [command] : []));
}

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('output and commands come while the run goes on, then its end', async () => {
    await using host = new LocalHost(userland());
    const gate = await startGated(host, 'echo one; GATE', 'echo two');
    const seen = collect();
    const follow = host.runner().follow(RUN, 0, seen.on);
    await until(() => seen.output() === 'one\n', 'the first line');
    expect((await host.runner().inspect(RUN)).state).toMatchObject({ phase: 'Running', command: 'runcmd[0]' });
    open(gate);
    expect(await follow).toMatchObject({ phase: 'Finished', exitCode: 0, outputTail: 'one\ntwo\n' });
    expect(seen.output()).toBe('one\ntwo\n');
    expect(seen.commands).toEqual(['runcmd[0]', 'runcmd[1]']);
    await until(() => followers(host).length === 0, 'the follower to end');
  });

  test('a follow whose client goes away leaves no process on the host', async () => {
    await using host = new LocalHost(userland());
    const gate = await startGated(host, 'echo one; GATE');
    const gone = new AbortController();
    const seen = collect();
    const follow = host.runner({ signal: gone.signal }).follow(RUN, 0, seen.on);
    await until(() => seen.output() !== '', 'the first line');
    const before = host.processes().length;
    expect(followers(host)).toHaveLength(1);
    gone.abort(new Error('gone'));
    await expect(follow).rejects.toThrow('gone');
    await until(() => followers(host).length === 0, 'the follower to end');
    expect(host.processes().length).toBeLessThan(before);
    open(gate);
    expect(await host.runner().follow(RUN, 0, () => undefined)).toMatchObject({ exitCode: 0 });
  });

  test('a run that dies under a follow has vanished, with its last output', async () => {
    await using host = new LocalHost(userland());
    await startGated(host, 'echo one; GATE');
    const seen = collect();
    const follow = host.runner().follow(RUN, 0, seen.on);
    await until(() => seen.output() !== '', 'the first line');
    process.kill(host.pid(), 'SIGKILL');
    expect(await follow).toMatchObject({ phase: 'Vanished', command: 'runcmd[0]', outputTail: 'one\n' });
    expect(seen.output()).toBe('one\n');
  });
});

test('from the offset of any event, or within any output, the rest follows', async () => {
  await using host = new LocalHost();
  const noise = String.raw`printf 'a\036b\n${RUN} c\036${RUN}'; echo; head -c 9000 /dev/zero | tr '\0' x; echo`;
  const { state, output } = await host.bootstrap(planOf(noise, 'echo é日', 'false'));
  const whole = collect();
  await host.runner().follow(RUN, 0, whole.on);
  expect(whole.output()).toBe(output);
  const starts = whole.events.flatMap((event, index) =>
    event.kind === 'command'
      ? [{ offset: event.offset, index: index + 1, within: 0 }]
      : [0, 1, event.chunk.length >> 1, event.chunk.length].map((within) => ({
          offset: event.offset - event.chunk.length + within,
          index,
          within,
        })),
  );
  const bytes = (events: OutputEvent[]): string =>
    Buffer.concat(events.map((e) => (e.kind === 'output' ? e.chunk : Buffer.from(`<${e.name}>`)))).toString('latin1');
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...starts), async ({ offset, index, within }) => {
      const seen = collect();
      expect(await host.runner().follow(RUN, offset, seen.on)).toEqual(state);
      expect(bytes(seen.events)).toBe(bytes(whole.events.slice(index)).slice(within));
    }),
    { numRuns: 15 },
  );
});

test('100 MB of output pass in bounded memory', async () => {
  await using host = new LocalHost();
  const size = 100 * 1024 * 1024;
  await startGated(host, `GATE; yes 'a line of output that is repeated' | head -c ${size}`);
  let bytes = 0;
  let peak = 0;
  const before = process.memoryUsage.rss();
  const follow = host.runner().follow(RUN, 0, (event) => {
    if (event.kind === 'output') bytes += event.chunk.length;
    peak = Math.max(peak, process.memoryUsage.rss());
  });
  open(host.path('gate'));
  const state = await follow;
  expect(state).toMatchObject({ phase: 'Finished', exitCode: 0 });
  expect(bytes).toBe(size);
  expect(Buffer.byteLength(state.phase === 'Finished' ? state.outputTail : '')).toBe(8192);
  expect(peak - before).toBeLessThan(80 * 1024 * 1024);
});

test('a follow of what was not started says so, and of what is not there fails', async () => {
  await using host = new LocalHost();
  await expect(host.runner().follow(RUN, 0, () => undefined)).rejects.toMatchObject({ reason: 'ClaimLost' });
  await host.runner().claim(CLAIMANT, undefined);
  expect(await host.runner().follow(RUN, 0, () => undefined)).toEqual({ phase: 'Claimed' });
});

test('the end needs one exec, also with many followers', async () => {
  await using host = new LocalHost();
  const gate = await startGated(host, 'GATE');
  const followed = Array.from({ length: 5 }, () => {
    const connection = host.connect();
    return { connection, state: host.runner({ connection }).follow(RUN, 0, () => undefined) };
  });
  await until(() => followers(host).length === 5, 'all followers');
  open(gate);
  for (const { connection, state } of followed) {
    expect(await state).toMatchObject({ phase: 'Finished' });
    expect(connection.execs).toBe(1);
  }
});

test('a follow that sees only the very end still has the last lines', async () => {
  await using host = new LocalHost();
  const { state } = await host.bootstrap(planOf('echo one', 'echo two; false'));
  const size = readFileSync(host.room('bootstrap', 'output')).length;
  const seen = collect();
  expect(await host.runner().follow(RUN, size, seen.on)).toEqual(state);
  expect(state).toMatchObject({ outputTail: 'one\ntwo\n' });
  expect(seen.events).toEqual([]);
});

test('an error of the listener ends the follow and nothing else', async () => {
  await using host = new LocalHost();
  await startGated(host, 'echo one; GATE');
  const follow = host.runner().follow(RUN, 0, () => {
    throw new Error('of the listener');
  });
  await expect(follow).rejects.toThrow('of the listener');
  await until(() => followers(host).length === 0, 'the follower to end');
  expect(existsSync(host.room('bootstrap', 'result'))).toBe(false);
});
