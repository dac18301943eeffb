import { dataURL, document, namesOf, planOf, refusalOf, written } from './testing.ts';

const file = (path: string, content: string, rest: object = {}) => ({ path, contents: { source: dataURL(content) }, ...rest });

test('the order is that of Ignition: disks, arrays, file systems, accounts, files, units', () => {
  const text = document({
    systemd: { units: [{ name: 'a.service', enabled: true, contents: '[Service]\n' }] },
    storage: {
      files: [file('/srv/b/c', 'x'), file('/a', 'y')],
      links: [
        { path: '/hard', target: '/srv/b/c', hard: true },
        { path: '/soft', target: 'a' },
      ],
      directories: [{ path: '/srv/b' }],
      filesystems: [{ device: '/dev/vdb1', format: 'ext4', path: '/srv' }],
      raid: [{ name: 'data', level: 'raid1', devices: ['/dev/vdc', '/dev/vdd'] }],
      disks: [{ device: '/dev/vdb', partitions: [{ number: 1 }] }],
    },
    passwd: { users: [{ name: 'core' }], groups: [{ name: 'ops' }] },
  });
  expect(namesOf(text)).toEqual([
    'ignition checks',
    'storage.disks[0] /dev/vdb',
    'storage.raid[0] data',
    'storage.filesystems[0] /dev/vdb1',
    'storage.filesystems[0] /srv mount',
    'passwd.groups[0] ops',
    'passwd.users[0] core',
    'passwd.users homes',
    'storage.files[1] /a room',
    'storage.files[1] /a',
    'storage.links[1] /soft',
    'storage.directories[0] /srv/b',
    'storage.files[0] /srv/b/c room',
    'storage.files[0] /srv/b/c',
    'storage.links[0] /hard',
    'systemd.units room',
    'systemd.units[0] a.service /etc/systemd/system/a.service',
    'systemd.units presets',
    'systemd.units',
    'systemd.units a.service',
  ]);
});

test('a unit that is to write the sentinel is waited for', () => {
  const text = (content: string) =>
    document({ storage: { files: [file('/run.sh', content)] }, systemd: { units: [{ name: 'a.service', enabled: true }] } });
  expect(namesOf(text('echo >/run/cluster-api/bootstrap-success.complete')).at(-1)).toBe('systemd.units a.service until the end');
  expect(namesOf(text('echo')).at(-1)).toBe('systemd.units a.service');
});

describe('documents within documents', () => {
  const inner = (rest: object, version = '3.0.0', ignition: object = {}) => ({ source: dataURL(document(rest, version, ignition)) });

  test('what is merged wins, entry by entry', () => {
    const text = document({ storage: { files: [file('/a', 'outer', { mode: 0o600 }), file('/b', 'outer')] } }, '3.4.0', {
      config: {
        merge: [
          inner({ storage: { files: [file('/a', 'inner'), file('/c', 'inner')] } }),
          inner({ storage: { files: [{ path: '/a', user: { name: 'bob' } }], links: [{ path: '/b', target: '/a' }] } }),
        ],
      },
    });
    expect(written(text)).toEqual([
      ['/a', '600', 'bob:0', 'inner'],
      ['/c', '644', '0:0', 'inner'],
    ]);
    expect(namesOf(text)).toContain('ignition.config.merge[1]: storage.links[0] /b');
  });

  test('what is valid by itself may not be so together', () => {
    const text = document({ storage: { files: [{ path: '/a', user: { id: 1 } }] } }, '3.1.0', {
      config: { merge: [inner({ storage: { files: [{ path: '/a', user: { name: 'bob' } }] } })] },
    });
    expect(refusalOf(text)).toBe('ignition.config.merge[0]: storage.files[0].user (line 9): has both a number and a name');
  });

  test.each([
    [{ links: [{ path: '/a' }] }, 'storage.links[0].target (line 7): is missing'],
    [{ raid: [{ name: 'a', level: 'raid1' }] }, 'storage.raid[0].devices (line 7): is missing'],
  ])('as in Ignition each of them is complete by itself: %j', (storage, message) => {
    const whole = { links: [{ path: '/a', target: '/b' }], raid: [{ name: 'a', level: 'raid0', devices: ['/dev/vdb'] }] };
    const text = document({ storage: whole }, '3.4.0', { config: { merge: [inner({ storage }, '3.4.0')] } });
    expect(refusalOf(text)).toContain(`ignition.config.merge[0]: ${message}`);
  });

  test('a replacement leaves nothing of what held it', () => {
    const text = document({ storage: { files: [file('/a', 'x')] } }, '3.1.0', {
      config: { replace: inner({ storage: { files: [file('/b', 'y')] } }) },
    });
    expect(written(text)).toEqual([['/b', '644', '0:0', 'y']]);
  });

  test('2.x adds lists to lists', () => {
    const files = (content: string) => ({ storage: { files: [file('/a', content, { filesystem: 'root', mode: 0o644 })] } });
    const text = document(files('1'), '2.2.0', { config: { append: [inner(files('2'), '2.0.0')] } });
    expect(written(text).map((one) => (one as string[])[3])).toEqual(['1', '2']);
  });

  test.each([
    [inner({}, '2.0.0'), 'ignition.config.merge[0]: ignition.version (line 3): a document of 3.x takes only documents of 3.x'],
    [{ source: 'https://example.org/x.ign' }, 'ignition.config.merge[0].source (line 7): a document that lies elsewhere cannot be checked'],
    [{ source: dataURL('{"a":\n') }, 'ignition.config.merge[0]: line 1: is not valid JSON'],
    [inner({ storage: { files: [{ path: 'a' }] } }), 'ignition.config.merge[0]: storage.files[0].path (line 8): is not an absolute path'],
    [
      { ...inner({}), verification: { hash: `sha512-${'0'.repeat(128)}` } },
      'ignition.config.merge[0].verification.hash (line 9): the content has another hash',
    ],
  ])('%#: what is wrong there is told with its place there', (merge, message) =>
    expect(refusalOf(document({}, '3.1.0', { config: { merge: [merge] } }))).toContain(message),
  );
});

test.each([
  ['{}', 'ignition.version (line 1): Ignition is understood in the versions 2.0.0 to 2.4.0 and 3.0.0 to 3.5.0'],
  [document({}, '3.6.0-experimental'), 'ignition.version (line 3): Ignition is understood'],
  [document({}, '1.0.0'), 'ignition.version (line 3): Ignition is understood'],
  ['{"ignition":\n {"version": "3.0.0",}\n}', 'line 2: is not valid JSON'],
  ['{"ignition":\n', 'line 1: is not valid JSON'],
  ['[]', 'line 1: an Ignition document is an object, this one is not'],
  [document({ colour: 1 }), 'colour (line 5): this key is not supported'],
  [
    document({ kernelArguments: { shouldExist: ['quiet'] } }),
    'kernelArguments (line 5): this key is not supported: a running host has its kernel',
  ],
  [
    document({ storage: { luks: [{ name: 'data', device: '/dev/vdb', clevis: { tpm2: true } }] } }),
    'storage.luks (line 6): this key is not supported: a volume',
  ],
  [document({ networkd: { units: [{ name: 'a.network' }] } }, '2.3.0'), 'networkd (line 5): this key is not supported: the network'],
  [
    document({ passwd: { users: [{ name: 'a', shouldExist: true }] } }, '3.1.0'),
    'passwd.users[0].shouldExist (line 9): is of version 3.2.0, and the document of 3.1.0',
  ],
  [
    document({ storage: { files: [{ filesystem: 'data', path: '/a' }] } }, '2.1.0'),
    'storage.files[0].filesystem (line 8): only root is supported',
  ],
  [document({ storage: { files: [file('/a', 'x'), file('/a', 'y')] } }), 'storage.files[1].path (line 14): is named twice in the document'],
  [
    document({ storage: { links: [{ path: '/l', target: '/m' }], files: [file('/l/a', 'x')] } }),
    'storage.files[0].path (line 14): lies below a link',
  ],
])('%#: is refused by path and line', (text, message) => expect(refusalOf(text)).toContain(message));

test('nothing that asks for nothing is refused, and null is nothing', () => {
  const empty = { networkd: {}, passwd: {}, storage: {}, systemd: {} };
  expect(planOf(document(empty, '2.3.0', { config: {}, security: { tls: {} }, timeouts: {}, proxy: {} })).steps).toEqual([]);
  expect(planOf(document({ kernelArguments: {}, storage: { luks: [], files: null } }, '3.0.0')).steps).toEqual([]);
});

test('a key given twice is told, and the last one counts', () => {
  const text = '{"ignition": {"version": "3.0.0"},\n "storage": {"files": [{"path": "/a", "mode": 1,\n "mode": 256}]}}';
  expect(planOf(text).findings).toEqual(['DuplicateKey storage.files[0].mode']);
  expect(written(text)).toEqual([['/a', '400', undefined, '']]);
});
