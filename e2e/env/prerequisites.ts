/** What the machine must have before anything is started, so that nothing fails halfway. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { timed, type Progress } from './cache.ts';
import { must, run } from './command.ts';

interface Requirement {
  /** Debian package that has it. */
  package: string;
  /** Program to look for. */
  program: string;
  /** Only hosts need it. */
  hosts?: boolean;
  /** Only the unit tests need it, which try SSH and the shell programs on this machine itself. */
  tests?: boolean;
}

/** What is going to be done. */
export interface Needs {
  /** Hosts will be started: they need root and more programs. */
  hosts: boolean;
  /** The unit tests will run. */
  tests?: boolean;
}

/** What the hosts run (OpenSSH's server, haproxy) is part of their image; the unit tests start sshd themselves, on loopback. No service is left on this machine. */
const requirements: Requirement[] = [
  { package: 'git', program: 'git' },
  { package: 'openssl', program: 'openssl' },
  { package: 'util-linux', program: 'setpriv' },
  { package: 'util-linux', program: 'flock' },
  { package: 'coreutils', program: 'nice' },
  { package: 'shellcheck', program: 'shellcheck', tests: true },
  { package: 'dash', program: 'dash', tests: true },
  { package: 'busybox', program: 'busybox', tests: true },
  { package: 'procps', program: 'ps', tests: true },
  { package: 'openssh-client', program: 'ssh-keygen', hosts: true },
  { package: 'debootstrap', program: 'debootstrap', hosts: true },
  { package: 'debian-archive-keyring', program: '/usr/share/keyrings/debian-archive-keyring.gpg', hosts: true },
  { package: 'systemd-container', program: 'systemd-nspawn', hosts: true },
  { package: 'iproute2', program: 'ip', hosts: true },
  { package: 'nftables', program: 'nft', hosts: true },
  { package: 'faketime', program: 'faketime', hosts: true },
  { package: 'util-linux', program: 'unshare', hosts: true },
  { package: 'mount', program: 'mount', hosts: true },
  { package: 'strace', program: 'strace', hosts: true },
  { package: 'runc', program: 'runc', hosts: true },
  { package: 'redis-server', program: 'redis-server', hosts: true },
  { package: 'apt', program: 'apt-get', hosts: true },
  { package: 'dpkg', program: 'dpkg-deb', hosts: true },
  { package: 'gcc', program: 'gcc', hosts: true },
  { package: 'libc6-dev', program: '/usr/include/stdlib.h', hosts: true },
  { package: 'libblkid-dev', program: '/usr/include/blkid/blkid.h', hosts: true },
  { package: 'openssh-server', program: 'sshd', tests: true },
  { package: 'openssh-client', program: 'ssh-keygen', tests: true },
  { package: 'sudo', program: 'sudo', tests: true },
  { package: 'putty-tools', program: 'puttygen', tests: true },
];

const modules = join(import.meta.dirname, 'go');
/** Oldest Go that all modules take. */
const GO = readdirSync(modules)
  .map((name) => /^go (\d+)\.(\d+)/m.exec(readFileSync(join(modules, name, 'go.mod'), 'utf8')))
  .map((version) => ({ major: Number(version?.[1]), minor: Number(version?.[2]) }))
  .reduce((a, b) => (a.major > b.major || (a.major === b.major && a.minor > b.minor) ? a : b));
const INSTALL_GO =
  'curl -fsSL "https://go.dev/dl/$(curl -fsSL \'https://go.dev/VERSION?m=text\' | head -n 1).linux-$(dpkg --print-architecture).tar.gz" | sudo tar -xzC /usr/local && export PATH="$PATH:/usr/local/go/bin"';

/** Facts about the machine that decide what is missing. */
export interface Machine {
  platform: string;
  root: boolean;
  sudo: boolean;
  apt: boolean;
  /** Output of `go version` where the modules are, empty without Go. From 1.21 on, Go fetches a newer one there if it may. */
  go: string;
  has(program: string): boolean;
}

/** What is missing, and how to get it. */
export interface Missing {
  /** Packages to install. */
  packages: string[];
  /** Everything else, a sentence each. */
  problems: string[];
}

export function missing(machine: Machine, { hosts, tests = false }: Needs): Missing {
  const problems: string[] = [];
  if (machine.platform !== 'linux') problems.push(`The environment runs on Linux, not on ${machine.platform}.`);
  if (hosts && !machine.root) {
    const way = machine.sudo
      ? 'Run the same command with sudo -E.'
      : 'Run it as root, or allow passwordless sudo; `make lint` and `make unit` need neither.';
    problems.push(`Hosts (network namespaces, mounts, systemd-nspawn) need root. ${way}`);
  }
  const version = /go(\d+)\.(\d+)/.exec(machine.go);
  const recent = version !== null && (Number(version[1]) > GO.major || Number(version[2]) >= GO.minor);
  if (!recent)
    problems.push(
      `Go ${GO.major}.${GO.minor} or newer is needed to build Kubernetes and Cluster API (found: ${machine.go || 'none'}): ${INSTALL_GO}`,
    );
  const applies = (requirement: Requirement): boolean =>
    (!requirement.hosts && !requirement.tests) || (hosts && requirement.hosts === true) || (tests && requirement.tests === true);
  const needed = requirements.filter((requirement) => applies(requirement) && !machine.has(requirement.program));
  return { packages: [...new Set(needed.map((requirement) => requirement.package))], problems };
}

/** Makes sure of everything: installs missing packages where that is possible (Debian and Ubuntu, as root), else says all that is missing at once. */
export async function requirePrerequisites(needs: Needs, progress: Progress): Promise<void> {
  let machine = await thisMachine();
  let found = missing(machine, needs);
  if (found.packages.length > 0 && found.problems.length === 0 && machine.root && machine.apt) {
    await timed(progress, `install ${found.packages.join(', ')}`, () => install(found.packages));
    machine = await thisMachine();
    found = missing(machine, needs);
  }
  const command = `apt-get install -y --no-install-recommends ${found.packages.join(' ')}`;
  const packages = found.packages.length === 0 ? [] : [`Missing packages. On Debian and Ubuntu: ${machine.root ? '' : 'sudo '}${command}`];
  const all = [...found.problems, ...packages];
  if (all.length > 0) throw new Error(`This machine cannot run the environment yet:\n${all.map((problem) => `  - ${problem}`).join('\n')}`);
}

async function thisMachine(): Promise<Machine> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const has = (program: string) =>
    program.startsWith('/') ? existsSync(program) : folders.some((folder) => existsSync(join(folder, program)));
  const root = process.getuid?.() === 0;
  return {
    platform: process.platform,
    root,
    sudo: !root && has('sudo') && (await run('sudo', ['-n', 'true'])).exitCode === 0,
    apt: has('apt-get'),
    go: has('go') ? await goVersion() : '',
    has,
  };
}

async function goVersion(): Promise<string> {
  const inModule = await run('go', ['version'], { cwd: join(modules, 'cluster-api') });
  if (inModule.exitCode === 0) return inModule.stdout.trim();
  return (await must('go', ['version'], { env: { ...process.env, GOTOOLCHAIN: 'local' } })).trim();
}

const POLICY = '/usr/sbin/policy-rc.d';

/** Installs packages without letting any of them start a service: policy-rc.d forbids it meanwhile (invoke-rc.d(8)). */
async function install(packages: string[]): Promise<void> {
  const own = !existsSync(POLICY);
  if (own) await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    // A package that is installed half would be in the way of the next attempt.
    const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, toItsEnd: true };
    const args = ['install', '-y', '--no-install-recommends', ...packages];
    if ((await run('apt-get', args, options)).exitCode === 0) return;
    // The package lists may be old or absent.
    await must('apt-get', ['update'], options);
    await must('apt-get', args, options);
  } finally {
    if (own && readFileSync(POLICY, 'utf8') === '#!/bin/sh\nexit 101\n') await rm(POLICY);
  }
}
