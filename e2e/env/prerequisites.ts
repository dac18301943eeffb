/** What the machine must have before anything is started, so that nothing fails halfway. */
import { existsSync, readFileSync } from 'node:fs';
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
  { package: 'shellcheck', program: 'shellcheck' },
  { package: 'dash', program: 'dash' },
  { package: 'busybox', program: 'busybox' },
  { package: 'procps', program: 'ps' },
  { package: 'openssh-client', program: 'ssh-keygen', hosts: true },
  { package: 'debootstrap', program: 'debootstrap', hosts: true },
  { package: 'debian-archive-keyring', program: '/usr/share/keyrings/debian-archive-keyring.gpg', hosts: true },
  { package: 'systemd-container', program: 'systemd-nspawn', hosts: true },
  { package: 'iproute2', program: 'ip', hosts: true },
  { package: 'util-linux', program: 'unshare', hosts: true },
  { package: 'mount', program: 'mount', hosts: true },
  { package: 'openssh-server', program: 'sshd', tests: true },
  { package: 'openssh-client', program: 'ssh-keygen', tests: true },
  { package: 'sudo', program: 'sudo', tests: true },
  { package: 'putty-tools', program: 'puttygen', tests: true },
];

const GO = { major: 1, minor: 24 };

/** Facts about the machine that decide what is missing. */
export interface Machine {
  platform: string;
  root: boolean;
  sudo: boolean;
  apt: boolean;
  /** Output of `go version`, empty without Go. */
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
      : 'Run it as root, or allow passwordless sudo; the suites in apis/ and operator/ need neither.';
    problems.push(`Hosts (network namespaces, mounts, systemd-nspawn) need root. ${way}`);
  }
  const version = /go(\d+)\.(\d+)/.exec(machine.go);
  const recent = version !== null && (Number(version[1]) > GO.major || Number(version[2]) >= GO.minor);
  if (!recent)
    problems.push(
      `Go ${GO.major}.${GO.minor} or newer is needed to build Kubernetes and Cluster API (found: ${machine.go || 'none'}): https://go.dev/dl/`,
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
    go: has('go') ? (await must('go', ['version'])).trim() : '',
    has,
  };
}

const POLICY = '/usr/sbin/policy-rc.d';

/** Installs packages without letting any of them start a service: policy-rc.d forbids it meanwhile (invoke-rc.d(8)). */
async function install(packages: string[]): Promise<void> {
  const own = !existsSync(POLICY);
  if (own) await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const args = ['install', '-y', '--no-install-recommends', ...packages];
    if ((await run('apt-get', args, { env })).exitCode === 0) return;
    // The package lists may be old or absent.
    await must('apt-get', ['update'], { env });
    await must('apt-get', args, { env });
  } finally {
    if (own && readFileSync(POLICY, 'utf8') === '#!/bin/sh\nexit 101\n') await rm(POLICY);
  }
}
