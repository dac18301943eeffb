/** Words that answers and marks have in common. */

/** A key and the rest of the line. */
export type Line = [key: string, value: string];

export function splitAtSpace(line: string): Line {
  const space = line.indexOf(' ');
  return space === -1 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
}

/** What ended a job: `<exit code> <date> <sentinel yes|no|unneeded> <kind> <name> [<boot that is to end>]`. */
export interface JobResult {
  exitCode: number;
  finishedAt: Date;
  /** False: the bootstrap data speaks of the sentinel file, and it was not written. */
  sentinel: boolean;
  /** Kind of the last step that was entered. */
  kind: string;
  name: string;
  /** The host is asked to reboot, or to go off, after this. */
  reboots: boolean;
}

export function parseResult(value: string): JobResult {
  const [code, finished, sentinel, kind = '', name = '', boot] = value.split(' ');
  return {
    exitCode: Number(code),
    finishedAt: date(finished),
    sentinel: sentinel !== 'no',
    kind,
    name: decodeName(name),
    reboots: boot !== undefined,
  };
}

export function date(seconds = ''): Date {
  return new Date(Number(seconds) * 1000);
}

export function decodeName(token: string): string {
  return token === '-' ? '' : Buffer.from(token, 'base64').toString('utf8');
}
