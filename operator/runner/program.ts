/** The shell programs that go to a host's standard input: runner.sh and ending.sh, what is uploaded, and one call. Pure but for reading the sources once. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { quote } from '../ssh/quote.ts';

/** Where the runner keeps things on a host. Absolute paths of letters, digits and `-_./`. */
export interface RunnerPaths {
  /** Survives a reboot: the claim. */
  state: string;
  /** Doesn't survive a reboot: who lives. */
  volatile: string;
  /** The Cluster API sentinel file. */
  sentinel: string;
  /** Is a directory where systemd runs the host (sd_booted(3)). */
  systemd: string;
  /** Search path of the runner and of the commands. */
  path: string;
}

export const RUNNER_PATHS: RunnerPaths = {
  state: '/var/lib/cluster-api-provider-remote',
  volatile: '/run/cluster-api-provider-remote',
  sentinel: '/run/cluster-api/bootstrap-success.complete',
  systemd: '/run/systemd/system',
  path: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};

/** A file that an exec brings along. `name` is of letters, digits, `.` and `-`. */
export interface Upload {
  name: string;
  content: Uint8Array;
}

/** The runner's sources with their constants set. */
export interface Sources {
  /** Goes before every call. */
  runner: string;
  /** What is executed detached: the runner and the job. */
  detached: Uint8Array;
}

/** In the order in which the parts of a program follow each other. */
export const SCRIPTS = ['runner.sh', 'ending.sh', 'files.sh', 'job.sh'] as const;
const [RUNNER, ENDING, FILES, JOB] = SCRIPTS.map((name) => readFileSync(new URL(`./${name}`, import.meta.url), 'utf8')) as [
  string,
  string,
  string,
  string,
];

export function sources(paths: RunnerPaths): Sources {
  const runner = withPaths(RUNNER + ENDING, paths);
  return { runner, detached: Buffer.from(runner + withPaths(FILES + JOB, paths)) };
}

function withPaths(source: string, paths: RunnerPaths): string {
  return source.replace(/^(STATE|VOLATILE|SENTINEL|SYSTEMD|PATH)=.*$/gm, (_, name: string) => {
    return `${name}=${quote(paths[name.toLowerCase() as keyof RunnerPaths])}`;
  });
}

/**
 * The program of one exec. `nonce` begins every line of its answer. The call stands in braces: a shell runs nothing of a
 * program whose end did not arrive.
 */
export function compose(runner: string, nonce: string, verb: string, args: readonly string[], uploads: readonly Upload[] = []): string {
  const call = ['main', nonce, verb, ...args].map(quote).join(' ');
  const program = [runner, '{\n', ...uploadFunction(uploads), call, '\n}\n'].join('');
  return `${atOnceForBash(Buffer.byteLength(program))}${program}`;
}

/**
 * Bash reads a program from a pipe with a system call for each byte of it. Redirected before it is evaluated, as bash 5.2 crashes where
 * what is evaluated redirects the input that the shell reads. Where head fails nobody knows what is left to read.
 */
function atOnceForBash(bytes: number): string {
  const take = `program=$(head -c ${bytes}) || exit; exec 3<&0 </dev/null; eval "$program"`;
  return `unset program\nif [ -n "\${BASH_VERSION-}" ] && command -v head >/dev/null; then ${take}; fi\n`;
}

function uploadFunction(uploads: readonly Upload[]): string[] {
  if (uploads.length === 0) return [];
  return ['upload() {\n', ...uploads.flatMap(putting), '}\n'];
}

/** Whether a shell can hold it in a word. */
export function isText(content: Uint8Array): boolean {
  return isUtf8(content) && !content.includes(0);
}

/** What is a text goes as it is, which takes no process on the host. */
function putting({ name, content }: Upload): string[] {
  if (isText(content)) {
    return [`put_text ${quote(name)} ${quote(Buffer.from(content).toString())} || return\n`];
  }
  return [`put ${quote(name)} <<'END.' || return\n`, base64Lines(content), 'END.\n'];
}

/** Base64 in lines of 76 characters (RFC 2045 6.8), the longest that every decoder takes; it never holds a dot. */
function base64Lines(content: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = content;
  return Buffer.from(buffer, byteOffset, byteLength)
    .toString('base64')
    .replace(/.{1,76}/g, '$&\n');
}
