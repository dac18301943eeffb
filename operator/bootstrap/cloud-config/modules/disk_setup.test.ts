import { execFileSync } from 'node:child_process';
import { canLoop, Loop } from '../../testing/loop.ts';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const lines = (yaml: string) => commandsOf(yaml).flatMap((step) => step.script.split('\n'));
const scriptsOf = (yaml: string) =>
  commandsOf(yaml)
    .map(({ script }) => script)
    .join('');

test('partitions before file systems; aliases; nothing for a layout that asks for nothing', () =>
  expect(
    planOf(
      'fs_setup: [{device: data.1, filesystem: ext4}]\ndevice_aliases: {data: /dev/sdb}\ndisk_setup: {data: {layout: true}, c: {layout: false}}',
    ).steps.map((step) => step.name),
  ).toEqual(['disk_setup data', 'fs_setup[0] data.1']));

test('mounts know the aliases of devices', () =>
  expect(
    lines('device_aliases: {ephemeral0: /dev/sdb, data: sdc}\nmounts: [[ephemeral0, /a], [data.2, /b], [other, /c]]').filter((line) =>
      /^add_mount [^(]/.test(line),
    ),
  ).toEqual([
    'add_mount /dev/sdb /a auto "$default_options" 0 2',
    'add_mount sdc.2 /b auto "$default_options" 0 2',
    'add_mount other /c auto "$default_options" 0 2',
  ]));

test.each([
  ['mounts:', ['add_usual /dev/sdb /mnt auto "$default_options" 0 2 -- ', 'add_usual sdc none swap sw 0 0 -- ']],
  [
    'mounts: [[sdb1, /a], [swap]]\nmount_default_fields: [null, null, ext4, ro, "1", "1"]',
    ['add_mount sdb1 /a ext4 ro 1 1', 'add_usual /dev/sdb /mnt auto ro 0 2 -- sdb1 sdc', 'add_usual sdc none swap sw 0 0 -- sdb1 sdc'],
  ],
])('disks with the names of a cloud are mounted where it does, unless the document says otherwise: %s', (yaml, expected) =>
  expect(
    lines(`device_aliases: {ephemeral0: /dev/sdb, swap: sdc}\n${yaml}`).filter((line) => /^add_(?:mount|usual) [^(]/.test(line)),
  ).toEqual(expected),
);

test('golden: tables', () => {
  const mbr = lines('disk_setup: {/dev/sdb: {layout: [33, [66, 82]]}}').join('\n');
  expect(mbr).toContain('sfdisk --force "$device" <<END\nlabel: dos\n,$((sectors * 33000 / 100000)),83\n,,82\nEND\nreread');
  const gpt = lines('disk_setup: {sdb: {table_type: gpt, layout: [50, [50, 8e]], overwrite: true}}');
  expect(gpt.filter((line) => line.startsWith('sgdisk'))).toEqual([
    'sgdisk --zap-all "$device"',
    'sgdisk --new="1:0:+$((sectors * 50000 / 100000))" "$device"',
    'sgdisk --new="2:0:0" "$device"',
    'sgdisk --typecode=2:8e00 "$device"',
  ]);
});

test('shares of a disk may have a fraction', () =>
  expect(lines('disk_setup: {/dev/sdb: {layout: [12.5, "33.3", 10]}}').filter((line) => /^,\S/.test(line))).toEqual([
    ',$((sectors * 12500 / 100000)),83',
    ',$((sectors * 33300 / 100000)),83',
    ',,83',
  ]));

test('golden: file systems', () => {
  const last = (fields: string) => lines(`fs_setup: [{device: sdb, ${fields}}]`).at(-2);
  expect(last('filesystem: ext4, label: a, extra_opts: [-b, 4096], overwrite: true')).toBe(
    '"$tool" ${label:+-L "$label"} $force -b 4096 "$device"',
  );
  expect(last("cmd: 'mkfs -t %(filesystem)s -L %(label)s %(device)s 100%%'")).toBe(
    `/bin/sh -c 'mkfs -t '"$type"' -L '"$label"' '"$device"' 100%'`,
  );
  expect(last('cmd: [mkfs, "-x y", "%(device)s1"]')).toBe(`mkfs '-x y' "$device"1`);
});

test('the names in a command are filled in whatever quotes they stand', () => {
  const yaml = `fs_setup: [{device: sdb, label: a b, filesystem: ext4, cmd: 'printf "<%%s>" ''%(label)s'' "%(filesystem)s" %(device)s'}]`;
  const [line = ''] = lines(yaml).filter((one) => one.startsWith('/bin/sh'));
  expect(execFileSync('sh', ['-c', `label='a b' type=ext4 device=/dev/sdb\n${line}`], { encoding: 'utf8' })).toBe('<a b><ext4></dev/sdb>');
});

test.each([
  ['disk_setup: {a: {layout: [10, 10, 10, 10, 10]}}', 'disk_setup.a.layout (line 1): has more than the four partitions'],
  ['disk_setup: {a: {layout: [[10, "8;"]]}}', 'disk_setup.a.layout (line 1): expected true, false, remove'],
  ['disk_setup: {a: {layout: [0]}}', 'disk_setup.a.layout (line 1): expected true, false, remove'],
  ['disk_setup: {a: {layout: [100.5]}}', 'disk_setup.a.layout (line 1): expected true, false, remove'],
  ['disk_setup: {a: {table_type: bsd}}', 'disk_setup.a.table_type (line 1): '],
  ['fs_setup: [{device: a}]', 'fs_setup[0].filesystem (line 1): is missing'],
  ['fs_setup: [{device: "a b", filesystem: ext4}]', 'fs_setup[0].device (line 1): is not the name of a device'],
  ['fs_setup: [{device: a, filesystem: ext4, partition: first}]', 'fs_setup[0].partition (line 1): '],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('a disk that is not there is told before anything is touched', () => {
    using host = new Sandbox();
    for (const { script } of commandsOf('disk_setup: {none: {layout: true}}\nfs_setup: [{device: /dev/none, filesystem: ext4}]')) {
      expect(host.run(script, shell)).toEqual({ code: 1, output: 'this host has no disk /dev/none\n' });
    }
  });

  test.each([
    ['true', '83', 0],
    ['true', '82 83', 0],
    ['true', '', 1],
    ['[50, 50]', '83 82', 0],
    ['[50, 50]', '83', 1],
    ['[50, [50, 82]]', '83 82', 0],
    ['[50, [50, 82]]', '82 83', 1],
  ])('layout %s on a disk with partitions of the types "%s" is written %d times, with overwrite', (layout, types, times) => {
    using host = new Sandbox();
    host.stub('udevadm');
    host.stub('partprobe');
    host.stub('lsblk', 'case "$*" in *TYPE*) echo disk ;; esac');
    host.stub('blockdev', 'echo 512');
    host.stub('sfdisk', `[ "$1" != --dump ] || for type in ${types}; do echo "/dev/x : start=1, size=1, type=$type"; done`);
    expect(host.run(scriptsOf(`disk_setup: {/dev/loop0: {layout: ${layout}, overwrite: true}}`), shell).code).toBe(0);
    expect(host.calls().filter((call) => call.startsWith('sfdisk --force'))).toHaveLength(times);
  });

  test.each([
    ['any', 'ext4', '', 'p1 has this file system already'],
    ['any', 'btrfs', '', 'mkfs.btrfs p2'],
    // What comes first counts, be it free or as it should be.
    ['any', 'xfs', '', 'mkfs.xfs p2'],
    ['any', 'xfs', ', replace_fs: ext4', 'mkfs.xfs p1'],
    ['auto', 'ext4', ', label: other, replace_fs: ext4', 'mkfs.ext4 -L other p2'],
    ['auto', 'ext4', ', label: data', 'p1 has this file system already'],
  ])('partition %s with %s%s: %s, of ext4, free and xfs', (partition, type, more, expected) => {
    using host = new Sandbox();
    host.stub('udevadm');
    host.stub('lsblk', 'case "$*" in *MOUNTPOINT*) ;; *TYPE*) echo part ;; *) printf "%s\\n" /dev/loop0 p1 p2 p3 ;; esac');
    host.stub('blkid', 'case "$*" in *"TYPE p1") echo ext4 ;; *"LABEL p1") echo data ;; *"TYPE p3") echo xfs ;; esac');
    for (const tool of ['mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs']) host.stub(tool);
    const { output } = host.run(scriptsOf(`fs_setup: [{device: /dev/loop0, partition: ${partition}, filesystem: ${type}${more}}]`), shell);
    expect(`${output}${host.calls().join('\n')}`).toContain(expected);
  });

  (canLoop ? test : test.skip).each([
    ['disk_setup: {DISK: {layout: true, overwrite: true}}', 'sfdisk --force DISK'],
    ['disk_setup: {DISK: {table_type: gpt, layout: [100], overwrite: true}}', 'sgdisk --zap-all DISK'],
    ['disk_setup: {DISK: {layout: remove}}', 'wipefs --all DISK'],
    ['fs_setup: [{device: DISK, partition: none, filesystem: ext4, overwrite: true}]', 'mkfs.ext4 -F DISK'],
    ['fs_setup: [{device: DISK, partition: none, cmd: mkfs.xfs -f %(device)s}]', 'mkfs.xfs -f DISK'],
  ])('%s: never while it is mounted', (yaml, call) => {
    using disk = new Loop();
    const [script, of] = [scriptsOf(yaml.replace('DISK', disk.device)), call.replace('DISK', disk.device)];
    for (const mounted of [true, false]) {
      using host = new Sandbox();
      for (const tool of ['sfdisk', 'sgdisk', 'wipefs', 'mkfs.ext4', 'mkfs.xfs', 'udevadm', 'partprobe']) host.stub(tool);
      const { code, output } = host.run(`${mounted ? `mkdir /data && mount ${disk.device} /data` : ':'}\n${script}`, shell);
      expect({ code, output, wrote: host.calls().includes(of) }).toEqual(
        mounted
          ? { code: 1, output: expect.stringContaining(`${disk.device} is in use on this host`) as string, wrote: false }
          : { code: 0, output: expect.any(String) as string, wrote: true },
      );
    }
  });
});
