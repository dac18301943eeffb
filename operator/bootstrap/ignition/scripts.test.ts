import { spawnSync } from 'node:child_process';
import { dataURL, document, planOf } from './testing.ts';

const GUID = '01234567-89AB-CDEF-EDCB-A98765432101';
const HASH = { hash: `sha256-${'0'.repeat(64)}` };

/** Every kind of script that there is. */
const DOCUMENT = document(
  {
    storage: {
      disks: [
        {
          device: '/dev/vdb',
          wipeTable: true,
          partitions: [{ number: 1, label: 'a', guid: GUID, typeGuid: GUID, sizeMiB: 1 }, { label: '' }],
        },
        { device: '/dev/vdc', partitions: [{ number: 1, shouldExist: false, wipePartitionEntry: true }] },
      ],
      raid: [{ name: 'data', level: 'raid1', devices: ['/dev/vdb', '/dev/vdc'] }],
      filesystems: [
        { device: '/dev/vdb1', format: 'ext4', path: '/srv', label: 'a', uuid: GUID, options: ['-m', '0'], mountOptions: ['ro'] },
        { device: '/dev/vdb2', format: 'vfat', uuid: 'A1B2-C3D4', label: 'b' },
        { device: '/dev/vdb3', format: 'swap', wipeFilesystem: true },
        { device: '/dev/vdb4', format: 'none' },
      ],
      directories: [
        { path: '/d', mode: 0o700, user: { name: 'core' } },
        { path: '/e', overwrite: true },
      ],
      files: [
        { path: '/a', contents: { source: 'https://h/a', verification: HASH, compression: 'gzip' }, append: [{ source: 'data:,x' }] },
        { path: '/b', overwrite: true, contents: { source: 'data:,x' } },
        { path: '/c' },
      ],
      links: [
        { path: '/l', target: "it's", user: { id: 1 } },
        { path: '/m', target: '/b', hard: true },
        { path: '/n', target: '/b', overwrite: true },
      ],
    },
    passwd: {
      groups: [
        { name: 'ops', gid: 7, passwordHash: 'x' },
        { name: 'gone', shouldExist: false },
      ],
      users: [
        { name: 'core', gecos: 'a b', passwordHash: '$6$x', sshAuthorizedKeys: ['ssh-rsa AAAA'] },
        { name: 'old', shouldExist: false },
        { name: 'plain' },
      ],
    },
    systemd: {
      units: [
        {
          name: 'a.service',
          enabled: true,
          contents: '# /run/cluster-api/bootstrap-success.complete',
          dropins: [{ name: 'x.conf', contents: '' }],
        },
        { name: 'b.service', enabled: true },
        { name: 'c.service', enabled: false },
        { name: 'd.service', mask: true },
        { name: 'e.service', mask: false, dropins: [{ name: 'x.conf', contents: 'x' }] },
      ],
    },
  },
  '3.5.0',
  { security: { tls: { certificateAuthorities: [{ source: dataURL('-----BEGIN CERTIFICATE-----') }] } }, timeouts: { httpTotal: 3 } },
);
const OLD = document(
  {
    storage: {
      directories: [{ filesystem: 'root', path: '/d/e' }],
      filesystems: [{ name: 'a', mount: { device: '/dev/vdb1', format: 'ext4', create: {} } }],
    },
  },
  '2.2.0',
);

const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;
(has('shellcheck') ? test : test.skip)('shellcheck finds nothing in the scripts of the product', () => {
  const scripts = [DOCUMENT, OLD].flatMap((text) => planOf(text).steps).flatMap((step) => (step.kind === 'command' ? [step] : []));
  expect(scripts.length).toBeGreaterThan(25);
  // One run for all. SC2016: words of a document in single quotes.
  const program = scripts.map(({ name, script }) => `# ${name}\n(\n${script})\n`).join('');
  const { stdout } = spawnSync('shellcheck', ['--shell=sh', '--exclude=SC2016,SC2030,SC2031,SC2317,SC2329', '-'], {
    input: program,
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
});
