/** What the operator is measured against: OpenSSH's own client with the same script. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../env/command.ts';
import type { Host } from '../env/hosts.ts';

export class PlainSSH {
  readonly #options: string[];

  private constructor(options: string[]) {
    this.#options = options;
  }

  static async for(hosts: Host[], folder: string): Promise<PlainSSH> {
    const [first] = hosts;
    if (first === undefined) throw new Error('no hosts');
    const key = join(folder, 'bench-key');
    const known = join(folder, 'bench-known-hosts');
    await writeFile(key, first.privateKey);
    await chmod(key, 0o600);
    await writeFile(known, hosts.map(({ address, hostPublicKey }) => `${address} ${hostPublicKey}\n`).join(''));
    return new PlainSSH(['-F', 'none', '-i', key, '-o', `UserKnownHostsFile=${known}`, '-o', 'BatchMode=yes']);
  }

  /** Milliseconds of `ssh host sh -s < script`. */
  async one(host: Host, script: string): Promise<number> {
    const start = performance.now();
    await must('ssh', [...this.#options, `root@${host.address}`, 'sh', '-s'], { input: script });
    return performance.now() - start;
  }

  /** Milliseconds of the script on all hosts at once by `xargs -P`. */
  async all(hosts: Host[], script: string, folder: string): Promise<number> {
    const path = join(folder, 'bench-script');
    await writeFile(path, script);
    const quoted = this.#options.map((option) => `'${option}'`).join(' ');
    const line = `xargs -P ${hosts.length} -I{} sh -c "ssh ${quoted} root@{} sh -s < '${path}'"`;
    const start = performance.now();
    await must('sh', ['-c', line], { input: hosts.map(({ address }) => `${address}\n`).join('') });
    return performance.now() - start;
  }
}
