/** Real OpenSSH hosts: light ones in namespaces, and full ones that systemd-nspawn boots. */
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import type { Progress } from './cache.ts';
import { createCgroups } from './cgroup.ts';
import { type CommandResult, must, run as runCommand } from './command.ts';
import { createKeyPair, diskOf, formatDisk, hostPublicKey, mountDisk } from './disk.ts';
import { hostImage } from './image.ts';
import { createNetwork, type Network, plug, type Port, portOf, setLink, unplug } from './network.ts';
import { children, type ManagedProcess, startProcess, unshare, untilReady } from './process.ts';
import { isAlive, type ProcessID, record, type Run } from './run.ts';

export interface HostOptions {
  /** light: only sshd, up in under a second. full: systemd. */
  kind?: 'light' | 'full';
  hostname?: string;
  machineID?: string;
  /** Public keys that may log in; the environment's own if not given. */
  authorizedKeys?: string[];
  /** Lines for sshd_config that win over the image's. */
  sshdConfig?: string;
  /** Megabytes beyond the image; as much as this machine has if not given. */
  diskSize?: number;
}

/** What hosts are made from; plain data, so that another process or test can go on with it. */
export interface HostingState {
  network: Network;
  image: string;
  /** Path of the private key that every host lets in. */
  keyPath: string;
}

/** Prepares a run for hosts: image, bridge and the key that opens them. */
export async function startHosting(run: Run, progress: Progress): Promise<HostingState> {
  const image = await hostImage(progress);
  const network = await createNetwork(run);
  const keyPath = join(run.folder, 'id_ed25519');
  await createKeyPair(keyPath);
  await mkdir(join(run.folder, 'hosts'));
  return { network, image, keyPath };
}

const starting = pLimit(cpus().length * 4);

/** Makes a host and starts it. `count` of them start side by side with createHosts. */
export async function createHost(run: Run, state: HostingState, options: HostOptions = {}): Promise<Host> {
  const number = claimNumber(run);
  const host = new Host(run, state, number, options, await readFile(state.keyPath, 'utf8'), await readFile(`${state.keyPath}.pub`, 'utf8'));
  await starting(async () => {
    await host.makeDisk();
    await host.start();
  });
  return host;
}

export const createHosts = (run: Run, state: HostingState, count: number, options: HostOptions = {}): Promise<Host[]> =>
  Promise.all(Array.from({ length: count }, () => createHost(run, state, options)));

/** The first number whose folder nobody has made yet, in whichever process. It is a place in the network, too. */
export function claimNumber(run: Run): number {
  for (let number = 1; ; number++) {
    try {
      mkdirSync(join(run.folder, 'hosts', String(number)));
      return number;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

export class Host {
  readonly name: string;
  readonly port = 22;
  /** In OpenSSH's form; opens root and every account. */
  readonly privateKey: string;
  readonly #run: Run;
  readonly #state: HostingState;
  readonly #options: HostOptions;
  readonly #publicKey: string;
  readonly #place: Port;
  readonly #folder: string;
  #hostPublicKey = '';
  #process: ManagedProcess | undefined;
  /** The host's first process, as this machine sees it. */
  #init: ProcessID | undefined;

  constructor(run: Run, state: HostingState, number: number, options: HostOptions, privateKey: string, publicKey: string) {
    this.#run = run;
    this.#state = state;
    this.#options = options;
    this.#place = portOf(run, state.network, number);
    this.#folder = join(run.folder, 'hosts', String(number));
    this.name = options.hostname ?? `host-${number}`;
    this.privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  get address(): string {
    return this.#place.address;
  }

  /** The key that sshd shows, `ssh-ed25519 AAAA…`. */
  get hostPublicKey(): string {
    return this.#hostPublicKey;
  }

  /** ID of the host's first process on this machine; undefined while the host is off. */
  get pid(): number | undefined {
    return this.running ? this.#init?.pid : undefined;
  }

  /** Folder on this machine with everything that the host's disk has beyond the image. */
  get changes(): string {
    return join(this.#folder, 'disk/upper');
  }

  get running(): boolean {
    return this.#init !== undefined && isAlive(this.#init);
  }

  /** Once, before everything. */
  async makeDisk(): Promise<void> {
    const { diskSize } = this.#options;
    if (diskSize !== undefined) {
      record(this.#run, { kind: 'mount', path: diskOf(this.#folder) });
      await mountDisk(this.#folder, diskSize);
    }
    await this.format();
  }

  /** Gives the host, which must be off, a disk as new: fresh host key and machine ID. */
  async format(): Promise<void> {
    const { hostname = this.name, authorizedKeys = [this.#publicKey], ...rest } = this.#options;
    await formatDisk(this.#folder, { ...rest, hostname, address: this.address, authorizedKeys });
    this.#hostPublicKey = await hostPublicKey(this.#folder);
  }

  /** Switches the host on, with the disk as it is; returns once its sshd answers. */
  async start(): Promise<void> {
    await plug(this.#run, this.#state.network, this.#place);
    const log = join(this.#folder, 'console.log');
    const started = startProcess(this.#run, { name: `host ${this.name}`, log, ...this.#command() });
    this.#process = started;
    await untilReady(started, () => this.answers(), 120_000, 20);
    this.#init = this.#first(started);
    if (this.#options.kind !== 'full') return;
    await this.exec('systemctl is-system-running --wait');
  }

  #command(): { command: string; args: string[]; env?: NodeJS.ProcessEnv } {
    const script = (name: string) => [join(import.meta.dirname, name), this.name, this.#state.image, join(this.#folder, 'disk')];
    const { namespace } = this.#place;
    if (this.#options.kind !== 'full') {
      return { command: 'ip', args: ['netns', 'exec', namespace, ...unshare, '--uts', '--ipc', 'sh', ...script('light-host.sh')] };
    }
    const { folders, version1 } = createCgroups(this.#run, namespace);
    const env = {
      ...process.env,
      NETNS: namespace,
      CGROUPS: folders.join(':'),
      ...(version1 && { SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '0' }),
    };
    const [command = '', ...args] = [...unshare, '--mount-proc', 'sh', ...script('full-host.sh')];
    return { command, args, env };
  }

  /** Whether an SSH server greets at its address. */
  async answers(timeout = 1000): Promise<boolean> {
    const socket = connect({ host: this.address, port: this.port, timeout });
    socket.on('timeout', () => socket.destroy(new Error('timeout')));
    try {
      const [greeting] = (await once(socket, 'data')) as [Buffer];
      return greeting.toString('latin1').startsWith('SSH-2.0-');
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  /** Runs a shell command on the running host as root, not over SSH: for looking at what SSH did. */
  async exec(command: string, options: { input?: string | Uint8Array } = {}): Promise<CommandResult> {
    if (!this.running) throw new Error(`${this.name} is off`);
    return this.#inside(['/bin/sh', '-c', command], options);
  }

  /** In the host's namespaces, or on its disk while it is off. */
  #inside(command: string[], options: { input?: string | Uint8Array } = {}): Promise<CommandResult> {
    const init = this.#init;
    const path = ['env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', ...command];
    if (init !== undefined && isAlive(init)) {
      return runCommand('nsenter', ['-t', String(init.pid), '-m', '-u', '-i', '-n', '-p', '-r', '-w', '--', ...path], options);
    }
    const disk = join(this.#folder, 'disk');
    const mount =
      'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root" && root=$2/root && shift 2 && exec chroot "$root" "$@"';
    return runCommand('unshare', ['--mount', 'sh', '-c', mount, 'sh', this.#state.image, disk, ...path], options);
  }

  /** Content of a file; works while the host is off too. */
  async readFile(path: string): Promise<string> {
    return this.#must(['cat', '--', path]);
  }

  /** A file as its owner, group, permissions (octal) and size in bytes. */
  async stat(path: string): Promise<{ owner: string; group: string; mode: string; size: number; type: string }> {
    const [owner = '', group = '', mode = '', size, type = ''] = (await this.#must(['stat', '-c', '%U|%G|%a|%s|%F', '--', path]))
      .trim()
      .split('|');
    return { owner, group, mode, size: Number(size), type };
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#inside(['test', '-e', path])).exitCode === 0;
  }

  async #must(command: string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.#inside(command);
    if (exitCode !== 0) throw new Error(`${command.join(' ')} on ${this.name} failed: ${stderr.trim()}`);
    return stdout;
  }

  /** Everything on it ends this instant and its peers hear nothing, not even a reset. The disk stays. */
  async powerCut(): Promise<void> {
    if (existsSync(join('/run/netns', this.#place.namespace))) await unplug(this.#place);
    const init = this.#init;
    await this.#process?.kill();
    // The namespaces end with the first process, which is killed by the end of the one that we killed.
    while (init !== undefined && isAlive(init)) await new Promise((resolve) => setTimeout(resolve, 5));
    this.#init = this.#process = undefined;
  }

  /** Power cut and start. */
  async reboot(): Promise<void> {
    await this.powerCut();
    await this.start();
  }

  /** Waits until a full host that rebooted by itself is up again. */
  async cameBack(): Promise<void> {
    const started = this.#process;
    const before = this.#init;
    if (started === undefined) throw new Error(`${this.name} is off`);
    const isAnother = () => ![undefined, before?.pid].includes(this.#first(started)?.pid);
    await untilReady(started, async () => isAnother() && (await this.answers()), 60_000);
    this.#init = this.#first(started);
  }

  /** unshare's child; in a full host that is a shell, which starts nspawn, and the machine's own first process is the child of that. */
  #first({ pid }: ManagedProcess): ProcessID | undefined {
    const child = (of: ProcessID | undefined): ProcessID | undefined => of && children(of.pid)[0];
    const below = children(pid)[0];
    return this.#options.kind === 'full' ? child(child(below)) : below;
  }

  /** Installs the host anew: a fresh disk, another host key and machine ID, the same address. */
  async reimage(): Promise<void> {
    await this.powerCut();
    await this.format();
    await this.start();
  }

  /** Changes the host key, for connections from now on. */
  async rekey(): Promise<void> {
    const before = this.#hostPublicKey;
    await this.stopSSHD();
    await this.exec("rm /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key");
    await this.startSSHD();
    const [type, key] = (await this.readFile('/etc/ssh/ssh_host_ed25519_key.pub')).split(' ');
    this.#hostPublicKey = `${type} ${key}`;
    if (this.#hostPublicKey === before) throw new Error(`${this.name} still has its old host key`);
  }

  /** Pulls the network cable: packets vanish, connections hang. */
  linkDown(): Promise<void> {
    return setLink(this.#place, 'down');
  }

  linkUp(): Promise<void> {
    return setLink(this.#place, 'up');
  }

  /** Of a hundred packets that come, so many are lost. */
  async loseIncoming(percent: number): Promise<void> {
    const rules = [
      'table inet faults',
      'delete table inet faults',
      'table inet faults { chain input { type filter hook input priority filter; }; }',
      ...(percent > 0 ? [`add rule inet faults input numgen random mod 100 < ${percent} drop`] : []),
    ];
    await must('ip', ['netns', 'exec', this.#place.namespace, 'nft', '-f', '-'], { input: `${rules.join('\n')}\n` });
  }

  /** The server stops listening; sessions go on. */
  async stopSSHD(): Promise<void> {
    await this.#mustExec(
      this.#options.kind === 'full' ? 'systemctl stop ssh' : 'kill "$(cat /run/sshd.pid)"; while [ -e /run/sshd.pid ]; do sleep 0.01; done',
    );
  }

  /** Until it listens, which the host itself says: its network may be down. */
  async startSSHD(): Promise<void> {
    // systemd is told by sshd, which writes the file once it listens.
    const listens = 'for _ in $(seq 1000); do [ ! -e /run/sshd.pid ] || exit 0; sleep 0.01; done; echo "sshd does not listen" >&2; exit 1';
    await this.#mustExec(this.#options.kind === 'full' ? 'systemctl start ssh' : `/usr/sbin/sshd -E /var/log/sshd.log && ${listens}`);
  }

  async #mustExec(command: string): Promise<void> {
    if (!this.running) throw new Error(`${this.name} is off`);
    await this.#must(['/bin/sh', '-c', command]);
  }

  /** Off, and its disk gone. Its number stays taken: objects that are left somewhere may still name its address. */
  async destroy(): Promise<void> {
    await this.powerCut();
    if (this.#options.diskSize !== undefined) await must('umount', ['--lazy', diskOf(this.#folder)]);
    await rm(this.#folder, { recursive: true, force: true });
    await mkdir(this.#folder);
  }
}
