import fc from 'fast-check';
import { misread } from './unit.ts';

test.each([
  [''],
  ['[Unit]\nDescription=x\n\n[Service]\nExecStart=/bin/a \\\n  b\n'],
  ['# what is = here [ is not read\n; nor here\n[Service]\nExecStart=\n'],
  ['before [a section]\nA=b'],
  ['words without any section'],
  ['[Service]\nEnvironment=A=[b\n# a \\\nstill no option\nX=y'],
  ['[X]\n# a comment \\ \nthat goes on\n'],
  ['[over\ntwo lines]  \nA=\n  \n'],
  ['[X]\r\nA=b\r\n'],
])('%j is read', (text) => {
  expect(misread(text)).toBeUndefined();
});

test.each([
  ['[Unit\nX=y\n', 'line 1 a section has no end'],
  ['\n\n[Unit] X=y', 'line 3 something follows the name of a section'],
  ['[Unit]\nA=b\nnothing\n', 'line 3 an option has no = after its name'],
  ['[Unit]\nA=b \\\nc\nnothing', 'line 4 an option has no = after its name'],
])('%j is not, and it says where', (text, message) => {
  expect(misread(text)).toBe(`is no unit file: in its ${message}`);
});

test('whatever it is, it is read to its end, and nothing of it is told', () => {
  const line = fc.constantFrom('[', ']', '=', '\\', '#', '\n', ' ', 'secret', '\r');
  fc.assert(fc.property(fc.array(line), (pieces) => !(misread(pieces.join('')) ?? '').includes('secret')));
});
