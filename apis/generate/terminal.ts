/** docs/images: what a terminal shows, drawn from the text that a page has of it, which its suite holds to what the program writes. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

const docs = path.join(import.meta.dirname, '../../docs');

/** Of a character, and of the margins, in pixels. */
const [WIDTH, HEIGHT, MARGIN] = [7.8, 18, 16];
const COLOURS = { ground: '#1e1e1e', text: '#d4d4d4', dim: '#808080', good: '#6ccb5f', waiting: '#e5c453', bad: '#f4736b' };

/** Lines of code by the heading and the language of their block; an indented block has none. */
function shown(page: string, heading: string): { command: string; output: string } {
  const text = readFileSync(path.join(docs, page), 'utf8');
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const command = /^ {4}(\S.*)$/m.exec(section)?.[1];
  const output = /^```text\n([^]*?)^```/m.exec(section)?.[1];
  if (command === undefined || output === undefined) throw new Error(`docs/${page} shows no command and its output under "${heading}"`);
  return { command, output: output.trimEnd() };
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const span = (text: string, colour: string): string => (text === '' ? '' : `<tspan fill="${colour}">${escaped(text)}</tspan>`);

/** A condition's status in the colour that says whether it is as it should be: only Paused should be False. */
function coloured(line: string): string {
  if (line === '…') return span(line, COLOURS.dim);
  const [, before, status = '', after = ''] = /^([│├└─ ]+[A-Z]\w+ +)(True|False|Unknown)( .*)$/.exec(line) ?? [];
  if (before === undefined) return escaped(line);
  const good = (status === 'True') !== /[^A-Za-z]Paused /.test(before);
  return escaped(before) + span(status, status === 'Unknown' ? COLOURS.waiting : good ? COLOURS.good : COLOURS.bad) + escaped(after);
}

/** A picture of the command and what it wrote. */
export function terminal(page: string, heading: string): string {
  const { command, output } = shown(page, heading);
  const lines = output.split('\n');
  const [title = '', ...rest] = lines;
  const rows = [span('$ ', COLOURS.dim) + escaped(command), `<tspan font-weight="bold">${escaped(title)}</tspan>`, ...rest.map(coloured)];
  const columns = Math.max(command.length + 2, ...lines.map((line) => line.length));
  const size = [Math.ceil(columns * WIDTH) + 2 * MARGIN, rows.length * HEIGHT + 2 * MARGIN];
  const texts = rows.map((row, index) => `<text x="${MARGIN}" y="${MARGIN + 13 + index * HEIGHT}" xml:space="preserve">${row}</text>`);
  return `<!-- Written by \`npm run generate\`. Do not edit. -->
<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}" viewBox="0 0 ${size[0]} ${size[1]}">
<title>${escaped(command)}</title>
<rect width="100%" height="100%" rx="8" fill="${COLOURS.ground}"/>
<g fill="${COLOURS.text}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13" style="white-space: pre">
${texts.join('\n')}
</g>
</svg>
`;
}
