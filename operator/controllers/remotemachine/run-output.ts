/** What a run prints, as it comes, in lines that may be shown. */

/** Characters of a line; a longer one is left out, as a secret that is cut would not be known again. */
const LONGEST = 65_536;

/** Calls `write` with each whole line, filtered. Of a private key, which lines alone don't show, its first line stands for all. */
export function lineReader(filter: (line: string) => string, write: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let isTooLong = false;
  let isKey = false;
  const take = (line: string): void => {
    if (!isKey) write(filter(line));
    // The last of the two in the line counts.
    const [mark] = [...line.matchAll(/-----(BEGIN|END) [A-Z0-9 ]*PRIVATE KEY-----/g)].reverse();
    if (mark !== undefined) isKey = mark[1] === 'BEGIN';
  };
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      take(isTooLong || line.length > LONGEST ? `a line of more than ${LONGEST} characters is left out` : line);
      isTooLong = false;
    }
    if (rest.length <= LONGEST) return;
    isTooLong = true;
    rest = '';
  };
}
