import { canLoop, Loop } from '../../testing/loop.ts';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { document, planOf, refusalOf, scriptOf } from '../testing.ts';

const GUID = '01234567-89AB-CDEF-EDCB-A98765432101';
const storage = (value: object, version?: string) => document({ storage: value }, version);
const disk = (...partitions: object[]) => storage({ disks: [{ device: '/dev/vdb', partitions }] });

test('golden: partitions, those without a number last', () => {
  const script = scriptOf(
    disk(
      { label: 'rest' },
      { number: 2, sizeMiB: 512, startMiB: 0, typeGuid: GUID, guid: GUID, label: "it's" },
      { number: 3, shouldExist: false, wipePartitionEntry: true },
    ).replace('"label": "rest"', '"label": "rest", "number": 1, "resize": true'),
    '/dev/vdb',
  );
  expect(script.split('\n').filter((line) => line.startsWith('partition '))).toEqual([
    `partition 1 present keep resize '' '' '' '' rest`,
    `partition 2 present keep fixed "$((0 * mib))" "$((512 * mib))" ${GUID} ${GUID} 'it'\\''s'`,
    `partition 3 absent wipe fixed '' '' '' ''`,
  ]);
});

test('what 0 is follows from the whole table', () => {
  const script = scriptOf(disk({ number: 1, sizeMiB: 0 }, { label: 'rest' }), '/dev/vdb');
  expect(script.split('\n').filter((line) => /^(?:foresee|partition) /.test(line))).toEqual([
    `foresee 1 present keep fixed '' "$((0 * mib))" '' ''`,
    `foresee 0 present keep fixed '' '' '' '' rest`,
    `partition 1 present keep fixed '' "$((0 * mib))" '' ''`,
    `partition 0 present keep fixed '' '' '' '' rest`,
  ]);
});

test('2.x counts in sectors', () => {
  const text = (size: number) =>
    storage({ disks: [{ device: '/dev/vdb', wipeTable: true, partitions: [{ size, start: 2048 }] }] }, '2.0.0');
  expect(scriptOf(text(4096), '/dev/vdb')).toContain(`\npartition 0 present keep fixed "$((1 * mib))" "$((2 * mib))" '' ''\n`);
  expect(scriptOf(text(4096), '/dev/vdb')).toContain('\nsgdisk --zap-all "$device" || ');
  expect(refusalOf(text(4097))).toContain('storage.disks[0].partitions[0].size (line 12): is not a whole number of MiB');
});

test('golden: arrays', () => {
  const text = (rest: object) => storage({ raid: [{ name: 'data', devices: ['/dev/vdb', '/dev/vdc', '/dev/vdd'], ...rest }] });
  expect(scriptOf(text({ level: 'raid5', spares: 1, options: ['--bitmap=none'] }), 'data')).toContain(
    '\nmdadm --create data --force --run --homehost any --level raid5 --raid-devices 2 --spare-devices 1 --bitmap=none /dev/vdb /dev/vdc /dev/vdd\n',
  );
  expect(refusalOf(text({ level: 'raid0', spares: 1 }))).toContain('storage.raid[0].spares (line 15): this level has no spares');
  expect(refusalOf(text({ level: 'raid7' }))).toContain('storage.raid[0].level (line 14): is not a level of RAID');
});

test('golden: file systems', () => {
  const made = (rest: object) =>
    scriptOf(storage({ filesystems: [{ device: '/dev/vdb1', ...rest }] }), '/dev/vdb1')
      .split('\n')
      .find((line) => line.startsWith('mk'));
  expect(made({ format: 'ext4', label: 'data', uuid: GUID, options: ['-m', '0'] })).toBe(
    `mkfs.ext4 -m 0 -F -U ${GUID.toLowerCase()} -L data "$device"`,
  );
  expect(made({ format: 'vfat', label: 'BOOT', uuid: 'A1B2-C3D4' })).toBe('mkfs.fat -i a1b2c3d4 -n BOOT "$device"');
  expect(made({ format: 'xfs', uuid: GUID })).toBe(`mkfs.xfs -f -m uuid=${GUID.toLowerCase()} "$device"`);
  expect(made({ format: 'btrfs' })).toBe('mkfs.btrfs --force "$device"');
  expect(made({ format: 'swap' })).toBe('mkswap -f "$device"');
  expect(made({ format: 'none' })).toBe(undefined);
});

test('what is mounted now and by no unit is told', () => {
  const filesystem = { device: '/dev/vdb1', format: 'ext4', path: '/var/lib/my-data', mountOptions: ['noatime', 'ro'] };
  const { findings } = planOf(storage({ filesystems: [filesystem] }));
  expect(findings).toEqual(['MountNotKept storage.filesystems[0].path']);
  const unit = { name: 'var-lib-my\\x2ddata.mount', enabled: true, contents: '[Mount]\n' };
  expect(planOf(document({ storage: { filesystems: [filesystem] }, systemd: { units: [unit] } })).findings).toEqual([]);
  expect(scriptOf(storage({ filesystems: [filesystem] }), 'mount')).toContain('\nmount -o noatime,ro -t ext4 /dev/vdb1 "$path"\n');
});

test.each([
  [disk({ number: 1 }, { number: 1 }), 'storage.disks[0].partitions[1] (line 13): another partition has the same number'],
  [disk({ sizeMiB: 1 }), 'storage.disks[0].partitions[0] (line 10): has neither a number nor a label'],
  [
    disk({ number: 1, startMiB: 1, sizeMiB: 10 }, { number: 2, startMiB: 5, sizeMiB: 1 }),
    'partitions[1] (line 15): lies over another partition',
  ],
  [disk({ number: 1, shouldExist: false, sizeMiB: 1 }), 'partitions[0].shouldExist (line 12): is false, and yet'],
  [disk({ number: 1, label: 'a:b' }), 'partitions[0].label (line 12): holds a colon'],
  [disk({ number: 1, guid: '1' }), 'partitions[0].guid (line 12): is not a GUID'],
  [storage({ filesystems: [{ device: '/dev/vdb', label: 'x' }] }), 'storage.filesystems[0].format (line 7): is missing'],
  [storage({ filesystems: [{ device: '/dev/vdb', mountOptions: ['ro'] }] }), 'storage.filesystems[0].format (line 7): is missing'],
  [
    storage({ filesystems: [{ device: '/dev/vdb', format: 'none' }] }, '3.2.0'),
    'storage.filesystems[0].format (line 9): none is of version 3.3.0',
  ],
  [storage({ filesystems: [{ device: '/dev/vdb', format: 'ntfs' }] }), 'storage.filesystems[0].format (line 9): is not a file system'],
  [
    storage({ filesystems: [{ device: '/dev/vdb', format: 'vfat', label: 'abcdefghijkl' }] }),
    'storage.filesystems[0].label (line 10): is longer',
  ],
])('%#: is refused', (text, message) => expect(refusalOf(text)).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('a disk that is not there is told before anything is touched', () => {
    using host = new Sandbox();
    host.stub('sgdisk');
    expect(host.run(scriptOf(disk({ number: 1 }), 'checks'), shell)).toEqual({ code: 1, output: 'this host has no disk /dev/vdb\n' });
  });

  /** A disk of 1 GiB whose only partition is number 1, of 100 MiB. */
  function hostWithDisk(): Sandbox {
    const host = new Sandbox();
    host.stub('udevadm');
    host.stub('partprobe');
    host.stub('lsblk', 'case "$*" in *TYPE*) echo disk ;; esac');
    host.stub('blockdev', 'echo 512');
    host.stub(
      'sgdisk',
      `case "$*" in
--info=1*) cat <<END
Partition GUID code: 0FC63DAF-8483-4772-8E79-3D69D8477DE4 (Linux filesystem)
Partition unique GUID: ${GUID}
First sector: 2048 (at 1024.0 KiB)
Last sector: 206847 (at 101.0 MiB)
Partition size: 204800 sectors (100.0 MiB)
Attribute flags: 0000000000000000
Partition name: 'data'
END
;;
--pretend*) echo 'First sector: 2048 (at 1024.0 KiB)' && echo 'Partition size: 409600 sectors (200.0 MiB)' ;;
--info=*) echo 'Partition #2 does not exist.' ;;
esac`,
    );
    return host;
  }

  test.each<[string, object[], string | { fails: string }]>([
    ['one that is as it should be stays', [{ number: 1, sizeMiB: 100, startMiB: 1, label: 'data', guid: GUID.toLowerCase() }], ''],
    ['what is not said is not compared', [{ number: 1 }], ''],
    ['the next place that is free may be where it lies', [{ number: 1, startMiB: 0, sizeMiB: 100 }], ''],
    [
      'one that could be larger is another one than one of all that is free',
      [{ number: 1, sizeMiB: 0 }],
      { fails: 'partition 1 of /dev/loop0 is another one, and wipePartitionEntry is not true' },
    ],
    ['and is replaced', [{ number: 1, sizeMiB: 0, wipePartitionEntry: true }], '--delete=1 --new=1:0:+409600'],
    [
      'a missing one is made',
      [{ number: 2, sizeMiB: 10, label: 'a b', typeGuid: GUID }],
      `--new=2:0:+20480 --change-name=2:a b --typecode=2:${GUID}`,
    ],
    ['one without a number is made', [{ label: 'x' }], '--new=0:0:+0 --change-name=0:x'],
    [
      'another one is an error',
      [{ number: 1, label: 'other' }],
      { fails: 'partition 1 of /dev/loop0 is another one, and wipePartitionEntry is not true' },
    ],
    ['another one is replaced', [{ number: 1, label: 'other', wipePartitionEntry: true }], '--delete=1 --new=1:0:+0 --change-name=1:other'],
    [
      'one that may grow grows',
      [{ number: 1, sizeMiB: 0, resize: true }],
      `--delete=1 --new=1:2048:+409600 --change-name=1:data --typecode=1:0FC63DAF-8483-4772-8E79-3D69D8477DE4 --partition-guid=1:${GUID}`,
    ],
    [
      'one that should not exist is an error',
      [{ number: 1, shouldExist: false }],
      { fails: 'partition 1 of /dev/loop0 exists, and wipePartitionEntry is not true' },
    ],
    ['one that should not exist goes', [{ number: 1, shouldExist: false, wipePartitionEntry: true }], '--delete=1'],
  ])('%s', (_, partitions, expected) => {
    using host = hostWithDisk();
    // Any name of a block device that the machine has does.
    const script = scriptOf(storage({ disks: [{ device: '/dev/vdb', partitions }] }), '/dev/vdb')
      .replace(/^if \[ ! -b[^]*?^fi$/m, '')
      .replace('device=/dev/vdb\n', 'device=/dev/loop0\n');
    const { code, output } = host.run(script, shell);
    const done = host.calls().filter((call) => call.startsWith('sgdisk') && !/--(?:info|pretend)/.test(call));
    if (typeof expected !== 'string') expect({ code, output, done }).toEqual({ code: 1, output: `${expected.fails}\n`, done: [] });
    else expect({ code, done }).toEqual({ code: 0, done: expected === '' ? [] : [`sgdisk ${expected} /dev/loop0`] });
  });

  (canLoop ? test : test.skip).each([
    [(device: string) => ({ disks: [{ device, wipeTable: true }] }), 'is in use as a whole', 'sgdisk --zap-all DISK'],
    [
      (device: string) => ({ filesystems: [{ device, format: 'ext4', wipeFilesystem: true }] }),
      'is in use on this host',
      'mkfs.ext4 -F DISK',
    ],
  ])('%s: never while it is mounted', (wanted, sentence, call) => {
    using disk = new Loop();
    const script = scriptOf(storage(wanted(disk.device)), disk.device);
    for (const mounted of [true, false]) {
      using host = new Sandbox();
      for (const tool of ['sgdisk', 'wipefs', 'mkfs.ext4', 'udevadm', 'partprobe']) host.stub(tool);
      const { code, output } = host.run(`${mounted ? `mkdir /data && mount ${disk.device} /data` : ':'}\n${script}`, shell);
      const wrote = host.calls().includes(call.replace('DISK', disk.device));
      expect({ code, refused: output.includes(sentence), wrote }).toEqual(
        mounted ? { code: 1, refused: true, wrote: false } : { code: 0, refused: false, wrote: true },
      );
    }
  });

  (canLoop ? test : test.skip).each(['/srv/a.b', '/srv/a b\\c'])('%s: only its own device may be mounted there already', (path) => {
    using own = new Loop();
    using other = new Loop();
    const text = storage({ filesystems: [{ device: own.device, format: 'ext4', path }] });
    const scripts = [scriptOf(text, 'checks'), scriptOf(text, `${path} mount`)];
    const after = (before: string, place = path) => {
      using host = new Sandbox();
      host.write('/tmp/point', place);
      const made = `point=$(cat /tmp/point)\nmkdir -p "$point" /mnt/sub\n${before}\n`;
      const count = 'grep -c " /srv" /proc/self/mounts || :\n';
      // In the same namespaces; a check that fails ends what follows.
      const body = scripts.map((script) => `(\n${script})\n`).join('');
      return host.run(`set -e\n${made}${body}${count}`, shell);
    };
    expect(after(':')).toEqual({ code: 0, output: '1\n' });
    expect(after(`mount ${own.device} "$point"`)).toEqual({ code: 0, output: `${path} is mounted already\n1\n` });
    expect(after(`mount ${other.device} "$point"`, path.replace('.', 'x').replace(' ', '-'))).toEqual({ code: 0, output: '2\n' });
    const refused = (source: string) => ({
      code: 1,
      output: `${source} is mounted at ${path} on this host, where the document mounts ${own.device}; nothing else may be mounted there\n`,
    });
    expect(after(`mount ${other.device} "$point"`)).toEqual(refused(other.device));
    expect(after(`mount ${own.device} /mnt && mkdir -p /mnt/sub && mount --bind /mnt/sub "$point"`)).toEqual(
      refused(`${own.device}, its /sub,`),
    );
  });
});
