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
  ['a bearer in a header', `curl -H "Authorization: Bearer ${SECRET}" https://x/y`, `401: token ${SECRET} expired`],
  ['a header without a scheme', `  authorization: ${SECRET}`, `401: ${SECRET}`],
  ['a password in a URL', `git clone https://bot:${SECRET}@git.example/x.git`, `failed for 'https://bot:${SECRET}@git.example/x.git/'`],
  ['one with an at sign', `git clone ssh://bot:p@${SECRET}@git.example/x.git`, `denied: p@${SECRET}@git.example`],
  ['a token as the user of a URL', `git clone https://${SECRET}@git.example/x.git`, `could not read Password for 'https://${SECRET}@git'`],
  ['an option with user and password', `curl -u bot:${SECRET} https://x/y`, `bad login bot:${SECRET}`],
  ['the same in quotes', `curl --user 'bot:${SECRET} of mine' https://x/y`, `bad password "${SECRET} of mine"`],
])('%s is not repeated', (_, line, said) => {
  expect(secretFilter([...secretTexts(`#cloud-config\n${line}\n`)])(said)).not.toContain(SECRET);
});

test.each([
  ['a path under such a name', 'k0s install worker --token-file /etc/k0s.token', 'cannot open /etc/k0s.token'],
  ['a variable', 'password: $PASSWORD_OF_ROOT', 'PASSWORD_OF_ROOT: unbound variable'],
  [
    'the ID of a key, and who is asked for it',
    'keyid: 27B838201A265425\nkeyserver: keys.example.org',
    'no 27B838201A265425 at keys.example.org',
  ],
  ['prose', 'echo the key of the machine', 'the machine is unreachable'],
  ['an option after an option', 'run --token --discovery-file x', 'unknown flag: --discovery-file'],
  ['a user of a URL', 'git clone ssh://git-user@git.example/x.git', 'git-user: permission denied'],
  ['a URL with a port', 'curl https://git.example:8443/install.sh', 'git.example: no such host, :8443 is shut'],
  ['a variable of an option', 'curl -u "bot:$PASSWORD" https://x/y', 'PASSWORD: unbound variable'],
])('%s stays readable', (_, line, said) => {
  expect(secretFilter([...secretTexts(line)])(said)).toBe(said);
});

test('a line of a megabyte takes no time to speak of', () => {
  const start = performance.now();
  const long = ['keypwdtoken', '-key', 'authorization:', 'https://a:b', ' -u a'].map((part) => part.repeat(1_000_000 / part.length));
  secretTexts(`key: ${long.join('\n')}`);
  expect(performance.now() - start).toBeLessThan(5_000);
});
