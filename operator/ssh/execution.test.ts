import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Connections, failure, run } from './testing/connections.ts';
import { FakeServer, resources, settled } from './testing/fake-servers.ts';
import type { TestSSHD } from './testing/sshd.ts';
import type { Connection, Dialogue, ExecResult, SSHErrorReason } from './types.ts';

jest.setTimeout(60_000);

const connections = new Connections();

/** Waits for a file on the host. */
const appears = async (path: string): Promise<void> => {
  const program = `i=0; until test -e ${path}; do sleep 0.05; i=$((i+1)); test $i -lt 100 || exit 1; done`;
  expect(await run(connection, program)).toMatchObject({ exitCode: 0 });
};

/** Bytes in use once the garbage is gone. The buffers that a collection finds are freed beside it, and surely so when the next one begins. */
const retained = (): number => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

let sshd: TestSSHD;
let connection: Connection;
beforeAll(async () => {
  sshd = await connections.start();
  connection = await connections.connect(sshd.target());
});
afterAll(() => connections.end());

describe('results', () => {
  test.each<[string, ExecResult]>([
    ['echo out; echo err >&2; exit 7', { exitCode: 7, stdout: 'out\n', stderr: 'err\n' }],
    ['', { exitCode: 0, stdout: '', stderr: '' }],
    ['printf "  no end"', { exitCode: 0, stdout: '  no end', stderr: '' }],
    ['exec nothing-like-this 2>/dev/null', { exitCode: 127, stdout: '', stderr: '' }],
    ['kill -TERM $$', { exitCode: 143, stdout: '', stderr: '' }],
    ['kill -KILL $$', { exitCode: 137, stdout: '', stderr: '' }],
    ['exit 1', { exitCode: 1, stdout: '', stderr: '' }],
  ])('%s', async (program, result) => {
    expect(await run(connection, program)).toEqual(result);
  });

  test('a syntax error is the program’s, not the shell’s absence', async () => {
    const { exitCode, stderr } = await run(connection, 'if then');
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/[Ss]yntax error/);
  });

  test('UTF-8 that packets cut through comes out whole', async () => {
    // Packets are powers of two long, the character is three bytes.
    const { stdout } = await run(connection, `yes '€' | tr -d '\\n' | head -c 300000`);
    expect(stdout).toBe('€'.repeat(100_000));
  });

  test('of standard error the last 8 KiB', async () => {
    const { stderr } = await run(connection, `i=0; while [ $i -lt 5000 ]; do echo "line é $i" >&2; i=$((i+1)); done; echo last >&2`);
    expect(Buffer.byteLength(stderr)).toBeLessThanOrEqual(8192);
    expect(Buffer.byteLength(stderr)).toBeGreaterThan(8100);
    expect(stderr).toMatch(/line é 4999\nlast\n$/);
    expect(stderr).not.toContain('\uFFFD');
  });

  test('bytes are a program too', async () => {
    expect((await run(connection, Buffer.from('echo bytes'))).stdout).toBe('bytes\n');
  });

  test('twenty at once each get their own', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const results = await Promise.all(numbers.map((i) => run(connection, `echo out ${i}; echo err ${i} >&2; exit ${i}`)));
    expect(results).toEqual(numbers.map((i) => ({ exitCode: i, stdout: `out ${i}\n`, stderr: `err ${i}\n` })));
  });
});

describe('much data', () => {
  test('100 MB of output pass by in bounded memory, unchanged', async () => {
    const size = 100 * 1024 * 1024;
    let bytes = 0;
    // Measured twice on the way: what the first quarter needs (buffers, windows) the next half needs no more of.
    let early = 0;
    let late = 0;
    const hash = createHash('sha256');
    const result = await run(connection, `yes '0123456789abcde' | head -c ${size}`, {
      onStdout: (chunk) => {
        bytes += chunk.length;
        hash.update(chunk);
        if (early === 0 && bytes > size / 4) early = retained();
        if (late === 0 && bytes > (size * 3) / 4) late = retained();
      },
    });
    expect(result).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(bytes).toBe(size);
    expect(hash.digest('hex')).toBe(
      createHash('sha256')
        .update('0123456789abcde\n'.repeat(size / 16))
        .digest('hex'),
    );
    expect(late - early).toBeLessThan(16 * 1024 * 1024);
  });

  test('20 MB of standard input arrive, unchanged', async () => {
    const body = 'y'.repeat(20 * 1024 * 1024);
    const { stdout } = await run(connection, `sha256sum <<'END'\n${body}\nEND\n`);
    expect(stdout).toContain(createHash('sha256').update(`${body}\n`).digest('hex'));
  });

  test('a program that is not read to its end holds nothing up', async () => {
    expect(await run(connection, `exit 4\n${'#'.repeat(8 * 1024 * 1024)}`)).toMatchObject({ exitCode: 4 });
    expect(await run(connection, 'echo next')).toMatchObject({ stdout: 'next\n' });
  });

  test('output beyond the limit ends the command, at the limit it does not', async () => {
    const limited = await failure(run(connection, 'yes', { maxOutput: 1000 }));
    expect(limited).toMatchObject({ reason: 'OutputTooLong', message: expect.stringContaining('1000 bytes') as string });
    expect((await run(connection, 'head -c 1000 /dev/zero', { maxOutput: 1000 })).stdout).toHaveLength(1000);
    expect(await failure(run(connection, 'yes'))).toMatchObject({ reason: 'OutputTooLong' });
  });

  test('a command whose channel is closed ends on the host', async () => {
    const path = join(sshd.directory, 'closed');
    await failure(run(connection, `yes; touch ${path}`, { maxOutput: 1000 }));
    await appears(path);
  });

  test('keys are exchanged anew in between, and judged anew', async () => {
    const server = await connections.start({ config: ['RekeyLimit 1M', 'LogLevel DEBUG1'] });
    const { stdout } = await run(await connections.connect(server.target()), 'head -c 20000000 /dev/zero | tr "\\0" x', {
      maxOutput: 20_000_000,
    });
    expect(stdout).toHaveLength(20_000_000);
    expect([...server.log.matchAll(/set_newkeys: rekeying|ssh_set_newkeys: mode in/g)].length).toBeGreaterThan(3);
  });

  test('an error of the listener ends its command only', async () => {
    const mistake = new Error('mistake');
    const onStdout = (): void => {
      throw mistake;
    };
    expect(await failure(run(connection, 'yes', { onStdout }))).toBe(mistake);
    expect((await run(connection, 'echo still here')).stdout).toBe('still here\n');
  });
});

describe('endings', () => {
  test('a time limit', async () => {
    const error = await failure(run(connection, 'echo partial; sleep 60', { timeout: 300 }));
    expect(error).toMatchObject({
      reason: 'ExecTimeout',
      hop: `127.0.0.1:${sshd.port}`,
      message: expect.stringContaining('0.3 s') as string,
    });
  });

  test('an abort rejects with its reason, also before the start', async () => {
    const controller = new AbortController();
    const reason = new Error('called off');
    const running = failure(
      run(connection, 'echo begun; sleep 60', { signal: controller.signal, onStdout: () => controller.abort(reason) }),
    );
    expect(await running).toBe(reason);
    expect(await failure(run(connection, 'echo never', { signal: controller.signal }))).toBe(reason);
  });

  test('an abort while the channel opens runs nothing', async () => {
    const path = join(sshd.directory, 'touched');
    const controller = new AbortController();
    const running = failure(run(connection, `touch ${path}`, { signal: controller.signal }));
    controller.abort(new Error('called off'));
    expect((await running).message).toBe('called off');
    await run(connection, 'true');
    expect(existsSync(path)).toBe(false);
  });

  test('kept standard input stays open, and its end tells a follow to end', async () => {
    const path = join(sshd.directory, 'ended');
    const controller = new AbortController();
    const program = `echo begun; (cat >/dev/null; echo > ${path}) ; exit\n`;
    const begun = new Promise<void>((resolve) => {
      run(connection, program, { keepStdin: true, signal: controller.signal, onStdout: () => resolve() }).catch(() => undefined);
    });
    await begun;
    expect((await run(connection, `test -e ${path}`)).exitCode).toBe(1);
    controller.abort(new Error('enough'));
    await appears(path);
  });

  describe('a dialogue', () => {
    const never = new Promise<never>(() => undefined);
    // Braces, so that the shell has read all of the program.
    const program = '{ echo answer; read -r word; echo "got $word"; exit 4; }\n';

    test('has its last word, and no limit between answer and word', async () => {
      const answered = Promise.withResolvers<void>();
      const lastWord = Promise.withResolvers<string>();
      let seen = '';
      const onStdout = (chunk: Buffer): void => {
        seen += chunk.toString();
        answered.resolve();
      };
      setTimeout(() => lastWord.resolve('seen\n'), 600);
      const dialogue = { answered: answered.promise, lastWord: lastWord.promise };
      expect(await run(connection, program, { dialogue, onStdout, timeout: 500 })).toMatchObject({ exitCode: 4 });
      expect(seen).toBe('answer\ngot seen\n');
    });

    test.each<[string, Dialogue]>([
      ['that is not answered', { answered: never, lastWord: never }],
      ['whose last word is not heeded', { answered: Promise.resolve(), lastWord: Promise.resolve('seen\n') }],
    ])('%s has its limit', async (_name, dialogue) => {
      expect(await failure(run(connection, 'sleep 60\n', { dialogue, timeout: 300 }))).toMatchObject({ reason: 'ExecTimeout' });
    });
  });

  test('a command that ends by itself ends a follow with kept standard input too', async () => {
    expect(await run(connection, 'echo done; exit 3\n', { keepStdin: true })).toMatchObject({ exitCode: 3, stdout: 'done\n' });
  });
});

describe('lost connections', () => {
  const lost = { reason: 'ConnectionLost' satisfies SSHErrorReason };

  test('sshd killed in the middle of commands', async () => {
    const before = resources();
    const server = await connections.start();
    const on = await connections.connect(server.target());
    const running: Promise<Error>[] = [];
    let begun = 0;
    const both = new Promise<void>((resolve) => {
      const onStdout = (): void => {
        if (++begun === 2) resolve();
      };
      for (let i = 0; i < 2; i++) running.push(failure(run(on, 'echo begun; sleep 60', { onStdout })));
    });
    await both;
    server.killConnections();
    for (const error of await Promise.all(running)) expect(error).toMatchObject(lost);
    expect(await failure(run(on, 'true'))).toMatchObject({ ...lost, hop: `127.0.0.1:${server.port}` });
    await on.close();
    await server.stop();
    expect(await settled(before)).toEqual({});
  });

  test('a reset while idle is no uncaught exception', async () => {
    const proxy = await FakeServer.proxy(sshd.port);
    const on = await connections.connect(sshd.target({ port: proxy.port }));
    proxy.reset();
    await proxy.abandoned();
    const error = await failure(run(on, 'true'));
    expect(error).toMatchObject(lost);
    await on.close();
    await proxy.stop();
  });

  test('a cut cable is noticed after three keepalives', async () => {
    const proxy = await FakeServer.proxy(sshd.port);
    const on = await connections.connect(sshd.target({ port: proxy.port }), { keepalive: 100 });
    const following = failure(run(on, 'echo begun; sleep 60', { onStdout: () => proxy.freeze() }));
    const started = performance.now();
    expect(await following).toMatchObject({ ...lost, message: expect.stringMatching(/Keepalive/) as string });
    expect(performance.now() - started).toBeGreaterThan(290);
    await on.close();
    await proxy.stop();
  });

  test('keepalives that are answered keep a quiet connection', async () => {
    const on = await connections.connect(sshd.target(), { keepalive: 20 });
    expect(await run(on, 'sleep 0.5; echo still')).toMatchObject({ stdout: 'still\n' });
  });

  test('a bastion that goes takes the host’s commands with it, and leaves nothing', async () => {
    const before = resources();
    const bastion = await connections.start();
    const on = await connections.connect(sshd.target({ bastions: [bastion.hop()] }), { keepalive: 200 });
    const following = failure(run(on, 'echo begun; sleep 60', { onStdout: () => bastion.killConnections() }));
    expect(await following).toMatchObject(lost);
    await on.close();
    await bastion.stop();
    expect(await settled(before)).toEqual({});
  });

  test('closing ends running commands, may be done twice, and leaves nothing', async () => {
    const before = resources();
    const server = await connections.start();
    const on = await connections.connect(server.target({ bastions: [server.hop(), server.hop()] }));
    const running = failure(run(on, 'sleep 60'));
    await run(on, 'true');
    await Promise.all([on.close(), on.close()]);
    expect(await running).toMatchObject(lost);
    expect(await failure(run(on, 'true'))).toMatchObject(lost);
    await server.idle();
    await server.stop();
    expect(await settled(before)).toEqual({});
  });

  test('closing does not wait for a peer that is gone', async () => {
    const proxy = await FakeServer.proxy(sshd.port);
    const on = await connections.connect(sshd.target({ port: proxy.port }));
    proxy.freeze();
    const started = performance.now();
    await on.close();
    expect(performance.now() - started).toBeLessThan(5000);
    await proxy.stop();
  });
});

test('a channel that sshd refuses is told from a lost connection', async () => {
  const server = await connections.start({ config: ['MaxSessions 1'] });
  const on = await connections.connect(server.target());
  const controller = new AbortController();
  const first = run(on, 'echo begun; sleep 60', { signal: controller.signal, onStdout: () => undefined }).catch(() => undefined);
  const refused = await failure(run(on, 'true'));
  expect(refused).toMatchObject({ reason: 'ChannelRefused', message: expect.stringMatching(/MaxSessions/) as string });
  controller.abort();
  await first;
});
