import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { quote } from './quote.ts';

const SHELLS = [['dash'], ['bash', '--posix'], ['bash'], ['busybox', 'sh']];
/** Any well-formed text without NUL, rich in what shells treat specially. */
const words = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom(
      "'",
      '"',
      '\\',
      '$',
      '`',
      '(',
      ')',
      '{',
      '}',
      '\n',
      '\r',
      '\t',
      ' ',
      '!',
      '*',
      '~',
      '#',
      ';',
      '&',
      '|',
      'a',
      'é',
      '🙂',
    ),
  }),
);
const textWords = words.map((word) => word.replaceAll('\0', '').toWellFormed());

describe.each(SHELLS)('in %s', (shell, ...options) => {
  /** The arguments as the shell sees them, each followed by a NUL. */
  const echoed = (args: string[]): string[] => {
    const program = `printf '%s\\0' ${args.map(quote).join(' ')}\n`;
    const output = execFileSync(shell, [...options, '-s'], { input: program, encoding: 'utf8' });
    return output.split('\0').slice(0, -1);
  };

  test('any string without NUL comes through as one word, unchanged', () => {
    fc.assert(
      fc.property(fc.array(textWords, { minLength: 1, maxLength: 20 }), (args) => {
        expect(echoed(args)).toEqual(args);
      }),
      { numRuns: 25 },
    );
  });

  test.each([
    "it's",
    '',
    '$(touch /nowhere)',
    '`id`',
    'two\nlines',
    '\n',
    "'",
    "''",
    '-n',
    '\\',
    'a\\',
    '!!',
    '~root',
    '*',
    '日本語',
    '\x1b[0m\x7f',
  ])('%j comes through', (word) => {
    expect(echoed([word, 'next'])).toEqual([word, 'next']);
  });
});

test('plain words stay readable', () => {
  expect(quote('/etc/rancher/k3s:v1.2-3_a@b%c+d=e,f')).toBe('/etc/rancher/k3s:v1.2-3_a@b%c+d=e,f');
});

test('a word that starts like a home directory or holds an equals sign is still one literal word', () => {
  expect(quote('~')).toBe("'~'");
});

test('NUL is refused', () => {
  expect(() => quote('a\0b')).toThrow(TypeError);
});
