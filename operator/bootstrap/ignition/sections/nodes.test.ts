import { lstatSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { dataURL, document, filesOf, planOf, refusalOf, scriptOf, written } from '../testing.ts';

const storage = (value: object, version?: string): string => document({ storage: value }, version);
const files = (...list: object[]): string => storage({ files: list });

describe('files', () => {
  test('modes, owners and pieces', () =>
    expect(
      written(
        files(
          { path: '/a', contents: { source: 'data:,1' }, append: [{ source: 'data:,2' }, { source: dataURL('3') }] },
          { path: '/b', contents: { source: '' }, mode: 0o755, user: { id: 7 }, group: { name: 'ops' } },
          { path: '/c', append: [{ source: 'data:,x' }], group: { name: 'ops' } },
        ),
      ),
    ).toEqual([
      ['/a', '644', '0:0', '123'],
      ['/b', '755', '7:ops', ''],
      ['/c', '644', ':ops', 'x'],
    ]));

  test('what is only added to keeps what is not said', () =>
    expect(
      filesOf(
        files({ path: '/a', append: [{ source: 'data:,x' }] }, { path: '/b' }, { path: '/c', mode: 0o600, user: { name: 'bob' } }),
      ).map(({ append, keep }) => [append, keep]),
    ).toEqual([
      [true, { mode: true, owner: true }],
      [true, { mode: true, owner: true }],
      [true, { mode: false, owner: false }],
    ]));

  test('2.x replaces what is there, and gives no rights where it says none', () => {
    const node = { filesystem: 'root', contents: { source: 'data:,x' } };
    const text = storage(
      {
        files: [
          { ...node, path: '/a' },
          { ...node, path: '/b', append: true },
          { ...node, path: '/c/../d', overwrite: false },
        ],
      },
      '2.2.0',
    );
    expect(written(text)).toEqual([
      ['/a', '0', '0:0', 'x'],
      ['/b', '0', undefined, 'x'],
      ['/d', '0', '0:0', 'x'],
    ]);
    expect(planOf(text).steps[0]).toMatchObject({
      name: 'ignition checks',
      script: expect.stringContaining("fail '/d exists already") as unknown,
    });
  });

  test('pieces that lie elsewhere are fetched in their turn', () => {
    const text = files({ path: '/a', contents: { source: 'https://h/x' }, append: [{ source: 'data:,2' }, { source: 'http://h/y' }] });
    expect(planOf(text).steps.map(({ name, kind }) => `${kind} ${name.split(' ').slice(1).join(' ')}`)).toEqual([
      'command checks',
      'command /a room',
      'file /a',
      'command /a fetch',
      'file /a',
      'command /a fetch',
    ]);
    expect(planOf(text).steps[0]).toMatchObject({ script: expect.stringContaining('command -v curl') as unknown });
  });

  test('bits that Ignition does not set', () =>
    expect(planOf(files({ path: '/a', mode: 0o4755, contents: { source: '' } })).findings).toEqual([
      'ModeBitsIgnored storage.files[0].mode',
    ]));

  test.each([
    [{ path: '/a', mode: 10000 }, 'storage.files[0].mode (line 9): is more than 4095'],
    [{ path: '/a//b' }, 'storage.files[0].path (line 8): is not as short'],
    [{ path: '/a', overwrite: true }, 'storage.files[0].overwrite (line 9): cannot be true where contents has no source'],
    [{ path: '/a', user: { id: 0, name: 'root' } }, 'storage.files[0].user (line 9): has both a number and a name'],
    [{ path: '/a', contents: { source: 'ftp://x' } }, 'storage.files[0].contents.source (line 10): a host here fetches http and https'],
    [
      { path: '/a', contents: { source: 'data:,x', verification: { hash: 'md5-0' } } },
      'storage.files[0].contents.verification.hash (line 12): is not',
    ],
    [{ path: '/etc', overwrite: true, contents: { source: 'data:,x' } }, 'storage.files[0].overwrite (line 9): would remove a directory'],
  ])('%j is refused', (file, message) => expect(refusalOf(files(file))).toContain(message));
});

(canSandbox ? describe : describe.skip).each(SHELLS)('on a host, under %s', (shell) => {
  const run = (host: Sandbox, text: string, name: string) => host.run(scriptOf(text, name), shell);
  const ok = { code: 0, output: '' };

  test('room for a file', () => {
    using host = new Sandbox();
    const text = (rest: object) => files({ path: '/tmp/a', contents: { source: '' }, ...rest });
    expect(run(host, text({}), 'room')).toEqual(ok);
    host.write('/tmp/a', 'x');
    expect(run(host, text({ overwrite: true }), 'room')).toEqual(ok);
    expect(host.read('/tmp/a')).toBe('x');
    const exists = { code: 1, output: '/tmp/a exists already, and overwrite is not true\n' };
    expect(run(host, text({}), 'room')).toEqual(exists);
    expect(run(host, text({}), 'checks')).toEqual(exists);
    expect(run(host, files({ path: '/tmp/a' }), 'room')).toEqual(ok);
    symlinkSync('gone', join(host.root, 'tmp/l'));
    expect(run(host, files({ path: '/tmp/l' }), 'room').output).toBe('/tmp/l exists and is not a file, and overwrite is not true\n');
    expect(run(host, text({ path: '/tmp/l', overwrite: true }), 'room')).toEqual(ok);
    expect(() => lstatSync(join(host.root, 'tmp/l'))).toThrow('ENOENT');
  });

  test('directories', () => {
    using host = new Sandbox();
    const text = (rest: object) => storage({ directories: [{ path: '/tmp/a/b', ...rest }] });
    expect(run(host, text({}), '/tmp/a/b')).toEqual(ok);
    expect([host.mode('/tmp/a'), host.mode('/tmp/a/b')]).toEqual([0o755, 0o755]);
    host.write('/tmp/a/b/c', '');
    expect(run(host, text({ mode: 0o1700 }), '/tmp/a/b')).toEqual(ok);
    expect([host.mode('/tmp/a/b'), host.exists('/tmp/a/b/c')]).toEqual([0o700, true]);
    expect(run(host, text({ overwrite: true }), '/tmp/a/b')).toEqual(ok);
    expect(host.exists('/tmp/a/b/c')).toBe(false);
    host.write('/tmp/f', '');
    expect(run(host, text({ path: '/tmp/f' }), '/tmp/f')).toEqual({
      code: 1,
      output: expect.stringContaining('/tmp/f exists and is not') as unknown,
    });
  });

  test('directories of 2.x: what is missing above becomes like them', () => {
    using host = new Sandbox();
    const text = storage({ directories: [{ filesystem: 'root', path: '/tmp/a/b', mode: 0o700, user: { id: 7 } }] }, '2.1.0');
    expect(run(host, text, '/tmp/a/b')).toEqual(ok);
    expect(['tmp', 'tmp/a', 'tmp/a/b'].map((path) => [host.mode(path), lstatSync(join(host.root, path)).uid])).toEqual([
      [0o755, 0],
      [0o700, 7],
      [0o700, 7],
    ]);
  });

  test('links', () => {
    using host = new Sandbox();
    const text = (rest: object) => storage({ links: [{ path: '/tmp/x/l', target: '../f', ...rest }] });
    expect(run(host, text({ user: { id: 7 } }), '/tmp/x/l')).toEqual(ok);
    expect([readlinkSync(join(host.root, 'tmp/x/l')), lstatSync(join(host.root, 'tmp/x/l')).uid]).toEqual(['../f', 7]);
    expect(run(host, text({}), '/tmp/x/l')).toEqual(ok);
    expect(run(host, text({ target: 'other' }), '/tmp/x/l')).toEqual({
      code: 1,
      output: '/tmp/x/l exists and is another link or file, and overwrite is not true\n',
    });
    expect(run(host, text({ target: 'other', overwrite: true }), '/tmp/x/l')).toEqual(ok);
    expect(run(host, text({ path: '/tmp/o', target: '-f' }), '/tmp/o')).toEqual(ok);
    expect(readlinkSync(join(host.root, 'tmp/o'))).toBe('-f');
    host.write('/tmp/f', '1');
    const hard = text({ path: '/tmp/h', target: '/tmp/f', hard: true });
    expect(run(host, hard, '/tmp/h')).toEqual(ok);
    expect(run(host, hard, '/tmp/h')).toEqual(ok);
    expect(lstatSync(join(host.root, 'tmp/h')).nlink).toBe(2);
    mkdirSync(join(host.root, 'tmp/d'));
    expect(run(host, text({ path: '/tmp/d' }), '/tmp/d').code).toBe(1);
  });
});
