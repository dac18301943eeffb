import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const script = (yaml: string) => commandsOf(yaml)[0]?.script ?? 'exit 9';
/** What the script asks for, in its words. */
const added = (yaml: string) =>
  script(yaml)
    .split('\n')
    .filter((line) => /^add_mount [^(]/.test(line));

test.each([
  ['mounts: [[sdb, /data]]', ['add_mount sdb /data auto "$default_options" 0 2']],
  [
    'mounts: [[a, /a, ext4, noatime, 1, "0"], [b, /b, null, null, null, 0]]',
    ['add_mount a /a ext4 noatime 1 0', 'add_mount b /b auto "$default_options" 0 0'],
  ],
  ['mounts: [[a, /a], [a, null], [a, /b]]\nmount_default_fields: [null, null, xfs, ro, "0", "1"]', ['add_mount a /b xfs ro 0 1']],
])('%j', (yaml, lines) => expect(added(yaml)).toEqual(lines));

test.each(['mounts:', 'mounts: [[a, null]]', 'swap: {size: 0}', 'swap: {filename: /x}', 'swap:'])('%s: nothing to do', (yaml) =>
  expect(planOf(yaml).steps).toEqual([]),
);

test('disks that only a cloud names are told and left out', () =>
  expect(planOf('mounts: [[ephemeral0, /mnt], [ebs1, /x]]')).toEqual({
    steps: [],
    findings: ['MountIgnored mounts[0]', 'MountIgnored mounts[1]'],
  }));

test.each([
  ['mounts: [[a, "/b c"]]', 'mounts[0][1] (line 1): is empty or holds white space'],
  ['mounts: [a]', 'mounts[0] (line 1): expected a list'],
  ['mounts: [[a, b, c, d, e, f, g]]', 'mounts[0] (line 1): has more than the six fields'],
  ['swap: {size: lots}', 'swap.size (line 1): '],
  ['swap: {filename: x, size: 1M}', 'swap.filename (line 1): is not an absolute path'],
  ['mount_default_fields: [a]', 'mount_default_fields (line 1): has not the six fields'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test('each wrong field is told with its own path and line, and that there are too many besides', () => {
  const WHITE = 'is empty or holds white space';
  const KIND = 'expected a text, a number or null';
  const yaml = `mounts:
- - a b
  - {x: 1}
  - ''
- [c, 'd e']
- - f
  - /f
  - 'g h'
  - [i]
  - 0
  - 0
  - 'j k'
`;
  expect(refusalOf(yaml).split('; ').toSorted()).toEqual([
    `mounts[0][0] (line 2): ${WHITE}`,
    `mounts[0][1] (line 3): ${KIND}`,
    `mounts[0][2] (line 4): ${WHITE}`,
    `mounts[1][1] (line 5): ${WHITE}`,
    'mounts[2] (line 6): has more than the six fields of /etc/fstab',
    `mounts[2][2] (line 8): ${WHITE}`,
    `mounts[2][3] (line 9): ${KIND}`,
    `mounts[2][6] (line 12): ${WHITE}`,
  ]);
});

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  const DATA = 'mounts: [[tmpfs, /data/a, tmpfs, "size=1m"], ["server:/x", none, nfs, ro]]';

  test('lines after those of the host; mounted; the second run replaces its own', () => {
    using host = new Sandbox();
    host.stub('mount', 'grep -q /data /etc/fstab');
    host.write('/etc/fstab', '# <fs>\nUUID=1 / ext4 defaults 0 1\n');
    for (let time = 0; time < 2; time++) expect(host.run(script(DATA), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/fstab')).toBe(
      '# <fs>\nUUID=1 / ext4 defaults 0 1\ntmpfs\t/data/a\ttmpfs\tsize=1m,comment=cluster-api\t0\t2\nserver:/x\tnone\tnfs\tro,comment=cluster-api\t0\t2\n',
    );
    expect([host.calls(), host.exists('/data/a')]).toEqual([['mount -a', 'mount -a'], true]);
  });

  test('lines that the cloud-init of the image wrote stay, but for those of the same device and place', () => {
    using host = new Sandbox();
    host.stub('mount');
    const theirs = '/dev/vdb\t/image\text4\tdefaults,comment=cloudconfig\t0\t2\n';
    host.write(
      '/etc/fstab',
      `${theirs}#comment=cloudconfig\ntmpfs /data/a tmpfs size=9m,comment=cloudconfig 0 2\ntmpfs  /data/*  tmpfs comment=cloudconfig`,
    );
    for (let time = 0; time < 2; time++) expect(host.run(script(DATA), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/fstab')).toBe(
      `${theirs}#comment=cloudconfig\ntmpfs  /data/*  tmpfs comment=cloudconfig\ntmpfs\t/data/a\ttmpfs\tsize=1m,comment=cluster-api\t0\t2\nserver:/x\tnone\tnfs\tro,comment=cluster-api\t0\t2\n`,
    );
  });

  test('systemd learns of it, and options fit it; a mount that fails is a failure', () => {
    using host = new Sandbox();
    host.stub('systemctl');
    host.stub('mount', 'exit 32');
    host.write('/run/systemd/system/x', '');
    expect(host.run(script('mounts: [[a, /a]]'), shell).code).toBe(32);
    expect(host.read('/etc/fstab')).toBe('a\t/a\tauto\tdefaults,nofail,_netdev,comment=cluster-api\t0\t2\n');
    host.stub('mount');
    expect(host.run(script('mounts: [[a, /a]]'), shell).code).toBe(0);
    expect(host.calls().at(-1)).toBe('systemctl daemon-reload');
  });

  test('a swap file of the given size', () => {
    using host = new Sandbox();
    for (const tool of ['mkswap', 'swapon', 'mount']) host.stub(tool);
    const yaml = 'swap: {filename: /var/swap, size: 2M}';
    expect(host.run(script(yaml), shell).code).toBe(0);
    expect(host.run('stat -c %s:%a /var/swap').output).toBe('2097152:600\n');
    expect(host.read('/etc/fstab')).toBe('/var/swap\tnone\tswap\tsw,comment=cluster-api\t0\t0\n');
    expect(host.calls()).toEqual(['mkswap /var/swap', 'swapon -a']);
  });

  test('a swap file on btrfs is not copied on write', () => {
    using host = new Sandbox();
    for (const tool of ['mkswap', 'swapon']) host.stub(tool);
    host.stub('stat', 'echo 9123683e');
    host.stub('chattr', 'wc -c <"$2" >>/calls');
    expect(host.run(script('swap: {filename: /var/swap, size: 1M}'), shell).code).toBe(0);
    expect(host.calls()).toEqual(['stat -f -c %t /var', 'chattr +C /var/swap', '0', 'mkswap /var/swap', 'swapon -a']);
  });

  test('as much swap as fits, but no more than is said', () => {
    using host = new Sandbox();
    for (const tool of ['mkswap', 'swapon']) host.stub(tool);
    expect(host.run(script('swap: {size: auto, maxsize: 3M}'), shell).code).toBe(0);
    expect(host.run('stat -c %s /swap.img').output).toBe('3145728\n');
  });

  test('a quarter of what is free, that which only root may use included', () => {
    using host = new Sandbox();
    for (const tool of ['mkswap', 'swapon']) host.stub(tool);
    host.stub('df', 'echo "disk 65536 32768 16384 67% /"');
    expect(host.run(script('swap: {size: auto}'), shell).code).toBe(0);
    expect(host.run('stat -c %s /swap.img').output).toBe('8388608\n');
  });
});
