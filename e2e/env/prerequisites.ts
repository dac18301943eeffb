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
  /** What needs it; not set: whatever is done. */
  for?: (keyof Needs)[];
}

/** What is going to be done. */
export interface Needs {
  /** A control plane will be started: its programs are built with Go. */
  controlPlane?: boolean;
  /** Hosts will be started: they need root and more programs. */
  hosts?: boolean;
  /** The unit tests will run, which try SSH and the shell programs on this machine itself, in namespaces: they need root, too. */
  tests?: boolean;
}

/** What the hosts run (OpenSSH's server, haproxy) is part of their image; the unit tests start sshd themselves, on loopback. No service is left on this machine. */
const requirements: Requirement[] = [
  { package: 'git', program: 'git' },
  { package: 'openssl', program: 'openssl' },
  { package: 'util-linux', program: 'setpriv' },
  { package: 'util-linux', program: 'flock' },
  { package: 'coreutils', program: 'nice' },
  { package: 'shellcheck', program: 'shellcheck', for: ['tests'] },
  { package: 'dash', program: 'dash', for: ['tests'] },
  { package: 'busybox', program: 'busybox', for: ['tests'] },
  { package: 'procps', program: 'ps', for: ['tests'] },
  { package: 'openssh-client', program: 'ssh-keygen', for: ['hosts', 'tests'] },
  { package: 'debootstrap', program: 'debootstrap', for: ['hosts'] },
  { package: 'debian-archive-keyring', program: '/usr/share/keyrings/debian-archive-keyring.gpg', for: ['hosts'] },
  { package: 'systemd-container', program: 'systemd-nspawn', for: ['hosts'] },
  { package: 'iproute2', program: 'ip', for: ['hosts'] },
  { package: 'nftables', program: 'nft', for: ['hosts'] },
  { package: 'faketime', program: 'faketime', for: ['hosts'] },
  { package: 'util-linux', program: 'unshare', for: ['hosts', 'tests'] },
  { package: 'mount', program: 'mount', for: ['hosts', 'tests'] },
  { package: 'strace', program: 'strace', for: ['hosts'] },
  { package: 'mount', program: 'losetup', for: ['hosts'] },
  { package: 'perl-base', program: 'perl', for: ['hosts'] },
  { package: 'runc', program: 'runc', for: ['hosts'] },
  { package: 'redis-server', program: 'redis-server', for: ['hosts'] },
  { package: 'apt', program: 'apt-get', for: ['hosts'] },
  { package: 'dpkg', program: 'dpkg-deb', for: ['hosts'] },
  { package: 'gcc', program: 'gcc', for: ['hosts'] },
  { package: 'libc6-dev', program: '/usr/include/stdlib.h', for: ['hosts'] },
  { package: 'libblkid-dev', program: '/usr/include/blkid/blkid.h', for: ['hosts'] },
  { package: 'openssh-server', program: 'sshd', for: ['tests'] },
  { package: 'sudo', program: 'sudo', for: ['tests'] },
  { package: 'putty-tools', program: 'puttygen', for: ['tests'] },
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

export function missing(machine: Machine, needs: Needs): Missing {
  const problems: string[] = [];
  if (machine.platform !== 'linux') problems.push(`The environment runs on Linux, not on ${machine.platform}.`);
  if (needs.hosts === true && !machine.root) problems.push(needsRoot('Hosts (network namespaces, mounts, systemd-nspawn)', machine));
  else if (needs.tests === true && !machine.root) problems.push(needsRoot('The unit tests (sshd and shells in namespaces)', machine));
  const version = /go(\d+)\.(\d+)/.exec(machine.go);
  const recent = version !== null && (Number(version[1]) > GO.major || Number(version[2]) >= GO.minor);
  if (needs.controlPlane === true && !recent)
    problems.push(
      `Go ${GO.major}.${GO.minor} or newer is needed to build Kubernetes and Cluster API (found: ${machine.go || 'none'}): ${INSTALL_GO}`,
    );
  const applies = (requirement: Requirement): boolean => requirement.for?.some((one) => needs[one] === true) ?? true;
  const needed = requirements.filter((requirement) => applies(requirement) && !machine.has(requirement.program));
  return { packages: [...new Set(needed.map((requirement) => requirement.package))], problems };
}

function needsRoot(what: string, { sudo }: Machine): string {
  const way = sudo ? 'Run the same command with sudo -E.' : 'Run it as root, or allow passwordless sudo; `make lint` needs neither.';
  return `${what} need root. ${way}`;
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
