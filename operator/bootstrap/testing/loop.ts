import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { canSandbox } from './sandbox.ts';

/** Whether this machine has loop devices to give. */
export const canLoop = canSandbox && spawnSync('losetup', ['--find']).status === 0;

/** A disk of its own for one test: a file, with a file system of ext4 on it. */
export class Loop implements Disposable {
  readonly #file = join(mkdtempSync(join(tmpdir(), 'loop-')), 'disk');
  readonly device: string;

  constructor() {
    writeFileSync(this.#file, '');
    truncateSync(this.#file, 16 << 20);
    this.device = execFileSync('losetup', ['--find', '--show', this.#file], { encoding: 'utf8' }).trim();
    execFileSync('mkfs.ext4', ['-q', this.device]);
  }

  [Symbol.dispose](): void {
    execFileSync('losetup', ['--detach', this.device]);
    rmSync(dirname(this.#file), { recursive: true });
  }
}
