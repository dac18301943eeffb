import { execFileSync } from 'node:child_process';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const lines = (yaml: string) => commandsOf(yaml).flatMap((step) => step.script.split('\n'));

test('partitions before file systems; aliases; nothing for a layout that asks for nothing', () =>
  expect(
    planOf(
      'fs_setup: [{device: data.1, filesystem: ext4}]\ndevice_aliases: {data: /dev/sdb}\ndisk_setup: {data: {layout: true}, c: {layout: false}}',
    ).steps.map((step) => step.name),
  ).toEqual(['disk_setup data', 'fs_setup[0] data.1']));

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
});
