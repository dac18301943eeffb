/** The disk image that hosts start from: a minimal Debian with systemd and OpenSSH, made once by debootstrap. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached, type Progress, timed } from './cache.ts';
import { must } from './command.ts';
import { unshare } from './process.ts';

const SUITE = 'bookworm';

/** tini is the light hosts' first process; haproxy serves load balancers, which are hosts too; the last three are what odd hosts have for shells. */
const packages = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'openssh-server',
  'sudo',
  'iproute2',
  'iptables',
  'procps',
  'kmod',
  'curl',
  'ca-certificates',
  'tini',
  'haproxy',
  'fish',
  'tcsh',
  'busybox',
];

/** Accounts on every host beside root. The password of all of them is `password`; SSH takes keys only. */
export const accounts = {
  /** sudo without a password. */
  admin: 'admin ALL=(ALL) NOPASSWD: ALL',
  /** sudo asks for a password. */
  asks: 'asks ALL=(ALL) ALL',
  /** no sudo. */
  plain: undefined,
} as const;

const sshdConfig = `Include /etc/ssh/sshd_config.d/*.conf
PidFile /run/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AuthorizedKeysFile /etc/ssh/authorized_keys/%u .ssh/authorized_keys
UsePAM yes
PrintMotd no
UseDNS no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
MaxStartups 1000
MaxSessions 1000
`;

/** Run in the image. Nothing that waits for a network or a clock, nothing that starts by itself except dbus, journald and sshd. */
const setup = `set -e
useradd --create-home --shell /bin/bash admin
useradd --create-home --shell /bin/bash asks
useradd --create-home --shell /bin/sh plain
printf 'admin:password\\nasks:password\\nplain:password\\n' | chpasswd
rm -f /etc/ssh/ssh_host_*
systemctl enable ssh.service
systemctl disable haproxy.service
systemctl mask systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-networkd-wait-online.service \\
  getty.target console-getty.service fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer e2scrub_all.timer \\
  systemd-logind.service systemd-firstboot.service
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
`;

/** Folder of the image's root file system. Takes one or two minutes the first time. */
export async function hostImage(progress: Progress): Promise<string> {
  const recipe = [SUITE, ...packages, JSON.stringify(accounts), sshdConfig, setup];
  const folder = await cached({ name: 'host-image', version: SUITE, recipe }, (making) =>
    timed(progress, 'make the disk image of the hosts (debootstrap)', () => makeImage(join(making, 'root'))),
  );
  return join(folder, 'root');
}

async function makeImage(root: string): Promise<void> {
  const script = ['--variant=minbase', `--include=${packages.join(',')}`, SUITE, root, thisMirror()];
  // In namespaces of its own: what it mounts and starts goes with it, also when it is interrupted.
  const [command = '', ...args] = unshare;
  await must(command, [...args, 'nice', '-n', '15', 'debootstrap', ...script]);
  await must('chroot', [root, '/bin/sh', '-c', setup]);
  for (const [name, sudo] of Object.entries(accounts)) {
    if (sudo !== undefined) await writeFile(join(root, 'etc/sudoers.d', name), `${sudo}\n`, { mode: 0o440 });
  }
  await writeFile(join(root, 'etc/ssh/sshd_config'), sshdConfig);
  await mkdir(join(root, 'etc/ssh/authorized_keys'), { mode: 0o755 });
  await writeFile(join(root, 'etc/resolv.conf'), '');
  await rm(join(root, 'etc/machine-id'), { force: true });
  await chmod(root, 0o755);
}

/** The Debian mirror of this machine. */
export const thisMirror = (): string => debianMirror(readSources());

function readSources(): string {
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return ['/etc/apt/sources.list', ...files]
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n\n');
}

/**
 * The Debian mirror that the machine itself uses (sources.list(5), one-line and deb822 style), else Debian's own.
 * Mirrors of other things and of Debian's security updates don't hold a whole Debian: its archive ends in /debian by convention.
 */
export function debianMirror(sources: string): string {
  const lines = sources.split('\n').filter((line) => /^(deb\s|URIs:)/.test(line));
  const mirrors = lines.flatMap((line) => line.split(/\s+/)).filter((word) => /^https?:\/\/\S+\/debian\/?$/.test(word));
  return mirrors[0] ?? 'http://deb.debian.org/debian';
}
