import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Shells that hosts have as /bin/sh. With busybox its applets come before the tools of /usr, too. */
export const SHELLS = ['dash', 'busybox'] as const;
export type Shell = (typeof SHELLS)[number];

const NAMESPACES = ['--mount', '--pid', '--fork', '--net'];

/** Root with the right to make namespaces; without it scripts that change a host are not run by tests. */
export const canSandbox = process.getuid?.() === 0 && spawnSync('unshare', [...NAMESPACES, 'true']).status === 0;

/** Arguments: the root, the shell, the script's path within the root. */
const ENTER = `set -eu
mount --make-rprivate /
mount --bind /usr "$1/usr"
mount -o remount,bind,ro "$1/usr"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount --bind /dev "$1/dev"
if [ "$2" = busybox ]; then
  exec chroot "$1" /usr/bin/env -i PATH=/stubs:/busybox:/usr/bin:/usr/sbin /busybox/sh "$3"
fi
exec chroot "$1" /usr/bin/env -i PATH=/stubs:/usr/bin:/usr/sbin /usr/bin/dash "$3"`;

/** A host of its own for one test: empty /etc and /var, the machine's /usr read-only, its own processes, mounts and network. */
export class Sandbox implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'sandbox-'));

  constructor() {
    for (const directory of ['usr', 'proc', 'sys', 'dev', 'etc', 'var/lib', 'run', 'tmp', 'root', 'home', 'stubs', 'busybox']) {
      mkdirSync(join(this.root, directory), { recursive: true });
    }
    for (const link of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${link}`, join(this.root, link));
    const { stdout } = spawnSync('busybox', ['--list'], { encoding: 'utf8' });
    for (const applet of stdout.split('\n').filter(Boolean)) symlinkSync('/usr/bin/busybox', join(this.root, 'busybox', applet));
    this.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
    this.write('/etc/group', 'root:x:0:\n');
    this.write('/etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o640);
  }

  /** Runs a script in fresh namespaces; they end with it. */
  run(script: string, shell: Shell = 'dash'): { code: number | null; output: string } {
    this.write('/tmp/script', script);
    const result = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', ENTER, 'sh', this.root, shell, '/tmp/script'], { encoding: 'utf8' });
    return { code: result.status, output: result.stdout + result.stderr };
  }

  /** Runs scripts one after the other in the same namespaces, whatever their exit codes are. */
  runAll(scripts: string[], shell: Shell): { code: number; output: string }[] {
    const files = scripts.map((script, index) => {
      this.write(`/tmp/scripts/${index}`, script);
      return `/tmp/scripts/${index}`;
    });
    const path = shell === 'busybox' ? '/busybox/sh' : '/usr/bin/dash';
    this.run(files.map((file) => `${path} ${file} >${file}.out 2>&1; echo $? >${file}.code\n`).join(''), shell);
    return files.map((file) => ({ code: Number(this.read(`${file}.code`)), output: this.read(`${file}.out`) }));
  }

  /** A command that notes its call in /calls and then runs `body`. */
  stub(name: string, body = ''): void {
    this.write(`/stubs/${name}`, `#!/bin/sh\necho "${name} $*" >>/calls\n${body}\n`, 0o755);
  }

  /** Calls of the stubs, in order. */
  calls(): string[] {
    return this.exists('/calls') ? this.read('/calls').trim().split('\n') : [];
  }

  write(path: string, content: string, mode = 0o644): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    chmodSync(file, mode);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  exists(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  mode(path: string): number {
    return lstatSync(join(this.root, path)).mode & 0o7777;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
