/** What a host has on its disk beyond the image: who it is, and who may enter. */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { must } from './command.ts';
import { accounts } from './image.ts';

export interface DiskOptions {
  hostname: string;
  address: string;
  /** 32 hexadecimal digits. */
  machineID?: string;
  /** Public keys that may log in, as root and as each of `accounts`. */
  authorizedKeys: string[];
  /** Lines for sshd_config that win over the image's. */
  sshdConfig?: string;
}

/** Path of the disk in `folder`. */
export const diskOf = (folder: string): string => join(folder, 'disk');

/** Makes room for a disk of that many megabytes, which can get full. */
export async function mountDisk(folder: string, megabytes: number): Promise<void> {
  await mkdir(diskOf(folder), { recursive: true });
  await must('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'none', diskOf(folder)]);
}

/** An empty disk in `folder`: upper/ is what the host changes over the image. */
export async function formatDisk(folder: string, options: DiskOptions): Promise<void> {
  for (const name of ['upper', 'work', 'root']) await rm(join(diskOf(folder), name), { recursive: true, force: true });
  for (const name of ['upper', 'work', 'root']) await mkdir(join(folder, 'disk', name), { recursive: true, mode: 0o755 });
  const { hostname, address } = options;
  await put(folder, 'etc/hostname', `${hostname}\n`);
  await put(folder, 'etc/hosts', `127.0.0.1 localhost\n${address} ${hostname}\n::1 localhost ip6-localhost\n`);
  await put(folder, 'etc/machine-id', `${options.machineID ?? randomBytes(16).toString('hex')}\n`);
  await put(folder, 'etc/ssh/sshd_config.d/host.conf', `${options.sshdConfig ?? ''}\n`);
  const keys = options.authorizedKeys.map((key) => `${key.trim()}\n`).join('');
  for (const account of ['root', ...Object.keys(accounts)]) await put(folder, `etc/ssh/authorized_keys/${account}`, keys);
  await createHostKey(folder);
}

/** Gives the disk a new host key. */
async function createHostKey(folder: string): Promise<void> {
  const path = hostKeyPath(folder);
  await rm(path, { force: true });
  await rm(`${path}.pub`, { force: true });
  await createKeyPair(path);
}

/** The host's public key, `ssh-ed25519 AAAA…`. */
export async function hostPublicKey(folder: string): Promise<string> {
  const [type, key] = (await readFile(`${hostKeyPath(folder)}.pub`, 'utf8')).split(' ');
  return `${type} ${key}`;
}

const hostKeyPath = (folder: string): string => join(folder, 'disk/upper/etc/ssh/ssh_host_ed25519_key');

/** An Ed25519 key pair in OpenSSH's form: `path` and `path`.pub. */
export async function createKeyPair(path: string): Promise<void> {
  await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path]);
}

async function put(folder: string, path: string, content: string): Promise<void> {
  const file = join(folder, 'disk/upper', path);
  await mkdir(dirname(file), { recursive: true, mode: 0o755 });
  await writeFile(file, content);
  // Whatever the umask, sshd runs as somebody else when it reads these.
  await chmod(file, 0o644);
}
