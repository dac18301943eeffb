/** Files as disks, by loop devices of the machine. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * Ends what the machine does with a file that is a disk, and removes it; harmless when repeated, and synchronous, so that it works while
 * the process exits. The device is free once nobody has it open any more: the hosts that had it have to be off.
 */
export function detach(path: string): void {
  if (!existsSync(path)) return;
  for (const device of devicesOf(path)) {
    swapOff(path, device);
    spawnSync('losetup', ['--detach', `/dev/${device}`], { stdio: 'ignore' });
  }
  rmSync(path, { force: true });
}

/** Names of the devices that the file is attached to, such as loop0. */
export function devicesOf(path: string): string[] {
  const { stdout } = spawnSync('losetup', ['--noheadings', '--output', 'NAME', '--associated', path], { encoding: 'utf8' });
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : [basename(line.trim())]));
}

/** Swapping outlives the host that began it, be it to a partition or to a file; names are those of the host, seen from here. */
function swapOff(path: string, device: string): void {
  const files = readFileSync('/proc/swaps', 'utf8').trim().split('\n').slice(1);
  if (files.length === 0) return;
  const folder = join('/sys/block', device);
  const parts = readdirSync(folder).filter((name) => name.startsWith(device));
  const [node, point] = [`${path}.node`, `${path}.mounted`];
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
  for (const of of ['.', ...parts]) {
    const numbers = readFileSync(join(folder, of, 'dev'), 'utf8')
      .trim()
      .split(':');
    run('mknod', node, 'b', ...numbers);
    mkdirSync(point, { recursive: true });
    if (!run('swapoff', node) && run('mount', node, point)) {
      for (const file of files) run('swapoff', join(point, file.split(' ')[0] ?? ''));
      run('umount', point);
    }
    rmdirSync(point);
    rmSync(node, { force: true });
  }
}
