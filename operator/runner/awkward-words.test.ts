/** Names, paths and owners are data, whatever they hold: no shell on a host ever takes a part of one for something else. */
import { existsSync, lstatSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { cleanupOf, collect, fileStep, LocalHost, OPTIONS, planOf, RUN, USERLANDS } from './testing/local.ts';

jest.setTimeout(120_000);

/** Is there once a shell has carried out what it should have passed on. */
const WITNESS = join(tmpdir(), `witness-${process.pid}`);
const TREACHEROUS = [
  ...["'", '"', '\\', '*', '?', '[', '~', '#', ';', '&', '|', '<', '>', '!', '%s', '%', '-', ' ', 'a', 'é', '日', '🙂', '\x1e'],
  ...[`$(>${WITNESS})`, `\`>${WITNESS}\``, `';>${WITNESS};'`, '$HOME', '${IFS}', '$$'],
];
const made = (...more: string[]) =>
  fc
    .string({ unit: fc.constantFrom(...TREACHEROUS, ...more), minLength: 1, maxLength: 8 })
    .filter((word) => !['.', '..'].includes(word) && Buffer.byteLength(word) < 200);
const awkward = made('\n', '\t', '\r');
/** Without what a name of Kubernetes can never have and the claim's lines don't keep. */
const oneLine = made().map((word) => `a${word}b`);

afterEach(() => {
  const carriedOut = existsSync(WITNESS);
  rmSync(WITNESS, { force: true });
  expect(carriedOut).toBe(false);
});

describe.each((['dash', 'busybox'] as const).map((name) => [name, USERLANDS[name]] as const))('on %s', (_, userland) => {
  test('paths, names and working directories hold anything, and a cleanup finds the files again', async () => {
    await using host = new LocalHost(userland());
    const names = fc.sample(awkward, 40).map((name, index) => `${name}${index}${name}`);
    const workingDir = host.path(`it's\n$(>${WITNESS}) "here" é`);
    const steps = names.map((name) => fileStep(host.path('files', name), name, { name }));
    const runner = host.runner();
    const where = { kind: 'command' as const, name: 'where', script: 'pwd; echo -' };
    await runner.claim(
      { runID: RUN, machine: { namespace: 'n', name: 'm', uid: 'u' } },
      cleanupOf([{ name: names[0] ?? '', script: 'true' }]),
    );
    const seen = collect();
    expect(await runner.run(RUN, planOf(...steps, where), { ...OPTIONS, workingDir }, seen.on)).toMatchObject({ exitCode: 0 });
    expect(seen.commands).toEqual([...names, 'where']);
    expect(seen.output()).toBe(`${workingDir}\n-\n`);
    for (const name of names) expect(readFileSync(host.path('files', name), 'utf8')).toBe(name);
    const cleaned = collect();
    expect(await host.runner().clean(RUN, cleaned.on)).toMatchObject({ outcome: 'Clean' });
    expect(cleaned.commands[0]).toBe(names[0]);
    const left = readdirSync(host.path('files'), { recursive: true }) as string[];
    expect(left.filter((name) => !lstatSync(host.path('files', name)).isDirectory())).toEqual([]);
  });

  test('an owner that is none is named as it is, and nothing is written', async () => {
    for (const owner of [`$(>${WITNESS})`, `root;>${WITNESS}`, `'x' "y" \`>${WITNESS}\``, '-R root', ...fc.sample(oneLine, 3)]) {
      await using host = new LocalHost(userland());
      const { state, output } = await host.bootstrap(planOf(fileStep(host.path('f'), 'x', { name: 'the file', owner })));
      expect(state).toMatchObject({ exitCode: 1, command: 'the file' });
      expect(output).not.toBe('');
      expect(existsSync(host.path('f'))).toBe(false);
    }
  });

  test('a claim keeps the names of its machine', async () => {
    for (const [namespace = '', name = '', uid = ''] of fc.sample(fc.array(oneLine, { minLength: 3, maxLength: 3 }), 8)) {
      await using host = new LocalHost(userland());
      const claimant = { runID: RUN, machine: { namespace, name, uid } };
      await host.runner().claim(claimant, undefined);
      expect((await host.runner().inspect(RUN)).holder).toEqual(claimant);
      await expect(
        host.runner().claim({ ...claimant, machine: { ...claimant.machine, name: `${name}x` } }, undefined),
      ).rejects.toMatchObject({
        reason: 'HostInUse',
      });
    }
  });
});
