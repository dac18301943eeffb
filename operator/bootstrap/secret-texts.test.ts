import { secretFilter } from '../framework/redaction.ts';
import { secretTexts } from './secret-texts.ts';

const SECRET = 's3cr3t-of-nobody';

test.each([
  ['a line', `  content ${SECRET}`, `read: content ${SECRET}`],
  ['a hash as /etc/shadow has it', `  hashed_passwd: $6$salt$${SECRET}`, `admin:$6$salt$${SECRET}:20000:0:99999:7:::`],
  ['a hash in quotes', `  passwd: "$6$salt$${SECRET}"`, `admin:$6$salt$${SECRET}:20000:0:99999:7:::`],
  ['a password of several words', `password: ${SECRET} of mine`, `wrong password: '${SECRET} of mine'`],
  ['a token in JSON', `{"token":"${SECRET}","x":1}`, `invalid token "${SECRET}"`],
  ['a key in YAML', `    client-key-data: ${SECRET}`, `cannot decode ${SECRET}`],
  ['an option', `join --discovery-token ${SECRET} --x`, `bad ${SECRET}`],
  ['an option with a sign', `join '--password=${SECRET}' && true`, `bad ${SECRET}`],
  ['a variable, and what is made of it', `export MYSQL_PWD=${SECRET}; run`, `+ export MYSQL_PWD=${SECRET}\n+ run ${SECRET}`],
  ['a command among others, traced', `cd /; curl -u "me:${SECRET}" host || exit 1`, `+ cd /\n+ curl -u me:${SECRET} host`],
])('%s is not repeated', (_, line, said) => {
  expect(secretFilter([...secretTexts(`#cloud-config\n${line}\n`)])(said)).not.toContain(SECRET);
});

test.each([
  ['a path under such a name', 'k0s install worker --token-file /etc/k0s.token', 'cannot open /etc/k0s.token'],
  ['a variable', 'password: $PASSWORD_OF_ROOT', 'PASSWORD_OF_ROOT: unbound variable'],
  ['prose', 'echo the key of the machine', 'the machine is unreachable'],
  ['an option after an option', 'run --token --discovery-file x', 'unknown flag: --discovery-file'],
])('%s stays readable', (_, line, said) => {
  expect(secretFilter([...secretTexts(line)])(said)).toBe(said);
});

test('a line of a megabyte takes no time to speak of', () => {
  const start = performance.now();
  secretTexts(`key: ${'keypwdtoken'.repeat(100_000)}\n${'-key'.repeat(250_000)}`);
  expect(performance.now() - start).toBeLessThan(5_000);
});
