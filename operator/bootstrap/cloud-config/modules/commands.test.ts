import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

const scripts = (entries: string) => commandsOf(`runcmd:\n${entries}`).map((step) => step.script);

test.each([
  ["- echo 'a' && b", ["echo 'a' && b"]],
  ['- |\n  a\n  b\n', ['a\nb\n']],
  ['- [echo, a b, "it\'s"]', ["'echo' 'a b' 'it'\\''s'"]],
  ['- [if, A=b]', ["'if' A=b"]],
  ['- [x, 1, 1.0, 1.30, yes, null, 0644]', ["'x' 1 1.0 1.3 True None 420"]],
  ['- [x, 0.00001, 1.0e+20, 1.5e+3, 12345678901234567890]', ["'x' 1e-05 1e+20 1500.0 12345678901234567890"]],
  ['- # nothing\n- ls', ['ls']],
  ['- ""\n- []\n- ls', ['', '', 'ls']],
  ['  []', []],
])('%j', (entries, expected) => expect(scripts(entries)).toEqual(expected));

test('nothing under the key is nothing to do', () => expect(planOf('runcmd:\nbootcmd: []\n')).toEqual({ steps: [], findings: [] }));

test.each(['- false', '- 1', '- {a: b}', '- [[a]]', '- 1.5', '- [{a: b}]'])('%s is refused with its line', (entry) =>
  expect(refusalOf(`runcmd:\n- ls\n${entry}`)).toMatch(/^runcmd\[1\]\S* \(line 3\): expected a string/),
);

test('a NUL in an escape is refused', () => expect(refusalOf('runcmd: ["a\\0"]')).toContain('runcmd[0] (line 1): '));

test('names keep the place in the data', () =>
  expect(commandsOf('runcmd: [null, a, null, b]').map((step) => step.name)).toEqual(['runcmd[1]', 'runcmd[3]']));

test('a list is one command with exactly its arguments, whatever they hold', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        { minLength: 1, maxLength: 4 },
      ),
      (words) => {
        const [script = ''] = scripts(`- ${JSON.stringify(['printf', '%s\\0', ...words])}`);
        const { stdout } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
        expect(stdout.split('\0').slice(0, -1)).toEqual(words);
      },
    ),
    { numRuns: 60 },
  );
});

test('bootcmd has a shell and the variable of its own', () => {
  expect(planOf('runcmd: [b]\nbootcmd: [a]\n')).toEqual({
    steps: [
      { kind: 'command', name: 'bootcmd environment', script: 'INSTANCE_ID=i-1; export INSTANCE_ID', shell: 'bootcmd' },
      { kind: 'command', name: 'bootcmd[0]', script: 'a', shell: 'bootcmd' },
      { kind: 'command', name: 'runcmd[0]', script: 'b' },
    ],
    findings: ['RunsOnceOnly bootcmd'],
  });
});
