import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalHost, USERLANDS, fileStep, planOf } from './testing/local.ts';

jest.setTimeout(120_000);

/** Every tool that the runner starts by its name writes it down. */
function counted(host: LocalHost): () => Map<string, number> {
  const [bin, log] = [host.path('bin'), host.path('tools')];
  mkdirSync(bin);
  const tools = ['base64', 'cat', 'chmod', 'chown', 'date', 'ls', 'mkdir', 'mv', 'readlink', 'rm', 'stat'];
  for (const tool of tools) {
    writeFileSync(join(bin, tool), `#!/bin/sh\necho ${tool} >>${log}\nPATH=${host.paths.path} exec ${tool} "$@"\n`);
    chmodSync(join(bin, tool), 0o755);
  }
  host.paths.path = `${bin}:${host.paths.path}`;
  return () => {
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    return new Map(tools.map((tool) => [tool, lines.filter((line) => line === tool).length]));
  };
}

test('files that go to one folder with one mode and owner take no process of their own each', async () => {
  const used = async (files: number) => {
    await using host = new LocalHost();
    const tools = counted(host);
    const steps = Array.from({ length: files }, (_, index) => fileStep(host.path('d', `file-${index}`), `${index}\n`));
    const { state } = await host.bootstrap(planOf(...steps, 'true', ...steps.slice(0, 1), 'true'));
    expect(state).toMatchObject({ phase: 'Finished', exitCode: 0 });
    expect(readFileSync(host.path('d', `file-${files - 1}`), 'utf8')).toBe(`${files - 1}\n`);
    return tools();
  };
  const [few, many] = [await used(3), await used(43)];
  const more = new Map([...many].map(([tool, count]) => [tool, count - (few.get(tool) ?? 0)] as const).filter(([, count]) => count !== 0));
  expect(Object.fromEntries(more)).toEqual({});
});

describe.each(Object.entries(USERLANDS))('on %s', (_, userland) => {
  test('of files that follow each other the one that fails is named, and those before it are there', async () => {
    await using host = new LocalHost(userland());
    mkdirSync(host.path('is-a-directory'));
    const paths = ['one', 'two', 'is-a-directory', 'three'].map((name) => host.path(name));
    const { state, commands } = await host.bootstrap(planOf('true', ...paths.map((path) => fileStep(path, 'x')), 'true'));
    expect(state).toMatchObject({ exitCode: 1, command: `write_files ${paths[2]}` });
    expect(commands).toEqual(['runcmd[0]', ...paths.slice(0, 3).map((path) => `write_files ${path}`)]);
    expect(paths.slice(0, 2).map((path) => readFileSync(path, 'utf8'))).toEqual(['x', 'x']);
    expect(() => statSync(paths[3] ?? '')).toThrow('ENOENT');
  });

  test('what is written is what was given, byte for byte', async () => {
    await using host = new LocalHost(userland());
    const text = `'"$\`\\ \t\r\n%s\\n-é${String.fromCodePoint(...Array.from({ length: 0x780 }, (__, index) => 0x80 + index))}☃\u{1f600}`;
    const contents = [text, '', '\n', '-n', `${text}\n\n`, 'a\0b', Buffer.from([0xff, 0x81, 0x88]), text.repeat(40)].map((one) =>
      Buffer.from(one),
    );
    await host.bootstrap(planOf(...contents.map((content, index) => fileStep(host.path(`f${index}`), content))));
    contents.forEach((content, index) => expect(readFileSync(host.path(`f${index}`)).equals(content)).toBe(true));
  });

  test('a file that is a mount of its own is written in place', async () => {
    await using host = new LocalHost(userland());
    const [file, below] = [host.path('hosts'), host.path('below')];
    writeFileSync(below, 'old\n', { mode: 0o600 });
    writeFileSync(file, '');
    const steps = [
      `mount --bind ${below} ${file}`,
      fileStep(file, 'new\n', { mode: 0o640, owner: 'daemon:bin' }),
      fileStep(file, 'more\n', { mode: 0o644, append: true }),
      `umount ${file}`,
    ];
    expect((await host.bootstrap(planOf(...steps))).state).toMatchObject({ phase: 'Finished', exitCode: 0 });
    expect([readFileSync(below, 'utf8'), readFileSync(file, 'utf8')]).toEqual(['new\nmore\n', '']);
    expect(statSync(below)).toMatchObject({ mode: 0o100644, uid: 0, gid: 0 });
  });

  test('a file in a folder with a group of its own is root’s all the same', async () => {
    await using host = new LocalHost(userland());
    mkdirSync(host.path('shared'));
    const steps = [`chgrp daemon ${host.path('shared')}; chmod 2775 ${host.path('shared')}`, fileStep(host.path('shared', 'f'), 'x')];
    await host.bootstrap(planOf(...steps));
    expect(statSync(host.path('shared', 'f'))).toMatchObject({ mode: 0o100644, uid: 0, gid: 0 });
  });
});
