/**
 * Whether a unit file can be read, as Ignition finds out before it does anything: by the rules of go-systemd's unit package, for which
 * there is no library here. Whatever stands before the first section is passed over.
 * @returns what is wrong with it, and in which of its lines; it holds nothing of the text
 */
export function misread(text: string): string | undefined {
  const wrong = (at: number, what: string): string => `is no unit file: in its line ${text.slice(0, at).split('\n').length} ${what}`;
  let inSection = false;
  for (let at = 0; at < text.length;) {
    const character = text[at] ?? '';
    // Of a comment a backslash counts also before a last space.
    if (character === '#' || character === ';') at = afterLines(text, at, /\\ ?$/);
    else if (character === '[') {
      const end = text.indexOf(']', at);
      if (end === -1) return wrong(at, 'a section has no end');
      if (lineFrom(text, end + 1).trim() !== '') return wrong(end, 'something follows the name of a section');
      at = nextLine(text, end);
      inSection = true;
    } else if (!inSection || /\s/.test(character)) at++;
    else {
      const [name = ''] = /^[^=\r\n]*/.exec(text.slice(at)) ?? [];
      if (text[at + name.length] !== '=') return wrong(at, 'an option has no = after its name');
      at = afterLines(text, at + name.length + 1);
    }
  }
  return undefined;
}

const lineFrom = (text: string, at: number): string => text.slice(at, nextLine(text, at)).replace(/\n$/, '');

function nextLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.length : end + 1;
}

/** After the line, and those that a backslash at the end of each joins to it. */
function afterLines(text: string, from: number, joint = /\\$/): number {
  let at = from;
  while (at < text.length) {
    const goesOn = joint.test(lineFrom(text, at));
    at = nextLine(text, at);
    if (!goesOn) break;
  }
  return at;
}
