/**
 * The one quoting function: makes `word` a single word for a POSIX shell (IEEE Std 1003.1, Shell Command Language 2.2.2),
 * whatever it holds. NUL can't stand in a shell word and is refused.
 */
export function quote(word: string): string {
  if (word.includes('\0')) throw new TypeError('a NUL character cannot stand in a shell word');
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
