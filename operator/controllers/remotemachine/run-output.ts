/** What a run prints, as it comes, in lines that may be shown. */
import type { OutputSink } from '../../runner/execution.ts';

/** Characters of a line; a longer one is left out, as a secret that is cut would not be known again. */
const LONGEST = 65_536;
/** Lines and characters of a private key, of which the longest in use have fewer: a key that was cut off does not hide the rest of the run. */
const KEY_LINES = 200;
const KEY_LENGTH = 16_384;

export const UNHEARD: OutputSink = { write: () => undefined, flush: () => undefined };

/** Calls `show` with each whole line, filtered. Of a private key, which lines alone don't show, its first line stands for all. */
export function lineReader(filter: (line: string) => string, show: (line: string) => void): OutputSink {
  const decoder = new TextDecoder('utf-8');
  const key = keyHider();
  let rest = '';
  let isTooLong = false;
  const take = (text: string): void => {
    const line = isTooLong || text.length > LONGEST ? `a line of more than ${LONGEST} characters is left out` : text;
    isTooLong = false;
    if (!key.hides(line)) show(filter(line));
  };
  return {
    write: (chunk) => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
      if (rest.length <= LONGEST) return;
      isTooLong = true;
      rest = '';
    },
    flush: () => {
      const last = rest;
      rest = '';
      if (last !== '' || isTooLong) take(last);
    },
  };
}

/** Knows which lines belong to a private key, but for its first one. */
function keyHider(): { hides: (line: string) => boolean } {
  let left: { lines: number; length: number } | undefined;
  const hides = (line: string): boolean => {
    if (left !== undefined) left = { lines: left.lines - 1, length: left.length - line.length };
    if (left !== undefined && (left.lines < 0 || left.length < 0)) left = undefined;
    const isHidden = left !== undefined;
    // The last of the two in the line counts.
    const [mark] = [...line.matchAll(/-----(BEGIN|END) [A-Z0-9 ]*PRIVATE KEY-----/g)].reverse();
    if (mark !== undefined) left = mark[1] === 'BEGIN' ? { lines: KEY_LINES, length: KEY_LENGTH } : undefined;
    return isHidden;
  };
  return { hides };
}
