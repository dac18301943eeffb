import { secretFilter } from '../../framework/redaction.ts';
import { lineReader } from './run-output.ts';

/** What is shown of an output that comes in these pieces. */
function shown(pieces: string[], secrets: string[] = []): string[] {
  const lines: string[] = [];
  const read = lineReader(secretFilter(secrets), (line) => lines.push(line));
  for (const piece of pieces) read.write(Buffer.from(piece, 'latin1'));
  return lines;
}

test('lines come whole, however they are cut', () => {
  expect(shown(['a\nb', 'c\n', '\xc3', '\xa9\nnot whole'])).toEqual(['a', 'bc', 'é']);
});

test('a secret that is cut is filtered', () => {
  expect(shown(['a hunter2-', 'hunter2 b\n'], ['hunter2-hunter2'])).toEqual(['a [redacted] b']);
});

test('of a private key that nobody knew nothing is shown, wherever it is cut', () => {
  const key = 'before\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAAB3NzaC1yc2E\n-----END OPENSSH PRIVATE KEY-----\nafter\n';
  for (let at = 0; at <= key.length; at++) expect(shown([key.slice(0, at), key.slice(at)])).toEqual(['before', '[redacted]', 'after']);
});

test('a line that is too long is left out as a whole', () => {
  const secret = 'hunter2-hunter2';
  const told = 'a line of more than 65536 characters is left out';
  for (const start of [65_530, 65_536, 100]) {
    const long = `${'x'.repeat(start)}${secret}${'y'.repeat(65_536)}\n`;
    expect(shown(['a\n', long, 'b\n'], [secret])).toEqual(['a', told, 'b']);
    expect(shown(['a\n', long.slice(0, start + 7), long.slice(start + 7), 'b\n'], [secret])).toEqual(['a', told, 'b']);
  }
});

test('a private key that never ends does not hide the rest of the run', () => {
  const begin = '-----BEGIN RSA PRIVATE KEY-----\nabc\n';
  expect(shown([begin, 'x\n'.repeat(200), 'the reason why it failed\n'])).toContain('the reason why it failed');
  expect(shown([begin, `${'x'.repeat(1_000)}\n`.repeat(17), 'the reason why it failed\n'])).toContain('the reason why it failed');
  // An RSA key of 16,384 bits.
  expect(shown([begin, `${'x'.repeat(64)}\n`.repeat(193), '-----END RSA PRIVATE KEY-----\nafter\n'])).toEqual(['[redacted]', 'after']);
});

test('the last line is shown although it is not whole, once nothing follows it', () => {
  const lines: string[] = [];
  const read = lineReader(secretFilter(['hunter2-hunter2']), (line) => lines.push(line));
  read.write(Buffer.from('a\nb hunter2-hunter2'));
  expect(lines).toEqual(['a']);
  read.flush();
  read.flush();
  read.write(Buffer.from('c\n'));
  expect(lines).toEqual(['a', 'b [redacted]', 'c']);
});
