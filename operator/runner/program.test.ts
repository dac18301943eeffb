import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanupFiles, planFiles } from './plan-files.ts';
import { RUNNER_PATHS, SCRIPTS, compose, sources } from './program.ts';
import { cleanupOf, fileStep, LocalConnection, planOf } from './testing/local.ts';

const folder = import.meta.dirname;

function stepsOf(uploads: { name: string; content: Uint8Array }[]): string {
  return Buffer.from(uploads[0]!.content).toString();
}

test('a program is the runner, the uploads and one call, in braces', () => {
  expect(
    compose(
      'RUNNER\n',
      'n0',
      'start',
      ['run-1', "it's"],
      [
        { name: 'steps', content: Buffer.from("it's é\n") },
        { name: '000001', content: new Uint8Array(60).fill(0xff) },
        { name: '000002', content: Buffer.from('a\0b') },
      ],
    ),
  ).toBe(
    `unset program
if [ -n "\${BASH_VERSION-}" ] && command -v head >/dev/null; then program=$(head -c 250) || exit; exec 3<&0 </dev/null; eval "$program"; fi
RUNNER
{
upload() {
put_text steps 'it'\\''s é
' || return
put 000001 <<'END.' || return
${'/'.repeat(76)}
////
END.
put 000002 <<'END.' || return
YQBi
END.
}
main n0 start run-1 'it'\\''s'
}
`,
  );
});

test('where bash gets no more than a part of its program at once, nothing of the rest runs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'head-'));
  try {
    writeFileSync(join(folder, 'head'), `#!/bin/sh\nPATH=${RUNNER_PATHS.path} head -c 100 >/dev/null\nkill -KILL $$\n`, { mode: 0o755 });
    const bash = new LocalConnection(['env', `PATH=${folder}:${RUNNER_PATHS.path}`, 'bash', '-s']);
    const program = compose('echo ran\n'.repeat(50), 'n', 'state', []);
    expect(await bash.exec({ program, privilege: 'plain', signal: new AbortController().signal })).toMatchObject({
      exitCode: 137,
      stdout: '',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a plan is a list of calls and a file for each content', () => {
  const plan = planOf(fileStep("/a b/'c", 'x', { name: 'f', append: true, owner: 'u:g', mode: 0o4755 }), 'echo 1', {
    kind: 'command',
    name: 's',
    script: 'print()',
    interpreter: ['python3', '-u x'],
  });
  const uploads = planFiles(plan, { commandsAsScript: true, workingDir: '/w d' });
  expect(stepsOf(uploads)).toBe(`options yes no '/w d'
step 000001 file Zg== 4755 u:g yes '/a b/'\\''c'
session
step 000002 shell cnVuY21kWzFd
session
step 000003 script cw== python3 '-u x'
`);
  expect(uploads.slice(1).map(({ name, content }) => [name, Buffer.from(content).toString()])).toEqual([
    ['000002', 'echo 1\n'],
    ['000003', 'print()'],
    ['000001.texts', 'unset text_000001\ntext_000001=x\n'],
  ]);
});

test('shared shells that would live at a time are refused', () => {
  const shells = ['a', 'b', 'a'].map((shell, index) => ({ kind: 'command', name: String(index), script: '', shell }) as const);
  expect(() => planFiles(planOf(...shells), { commandsAsScript: false, workingDir: '/' })).toThrow(
    'the shell "b" begins before another one has ended',
  );
});

test('a cleanup plan has the files of the run between its commands and its checks', () => {
  expect(stepsOf(cleanupFiles(cleanupOf(['a', { script: 'b', mayFail: true }], ['c'])))).toBe(`options no no /
step 000001 script Y2xlYW5VcENvbW1hbmRzWzBd /bin/sh
step 000002 tolerated Y2xlYW5VcENvbW1hbmRzWzFd /bin/sh
step 000003 forget ZmlsZXMgb2YgdGhlIGJvb3RzdHJhcA==
step 000004 check Y2hlY2sgMA== /bin/sh
`);
});

test('the paths of the design stand in the sources, and others can be set', () => {
  const { detached } = sources({ ...RUNNER_PATHS, state: '/elsewhere' });
  expect(Buffer.from(sources(RUNNER_PATHS).detached).toString()).toMatch(
    /^STATE=\/var\/lib\/cluster-api-provider-remote$[^]*^VOLATILE=\/run\/cluster-api-provider-remote$[^]*^SENTINEL=\/run\/cluster-api\/bootstrap-success.complete$/m,
  );
  expect(Buffer.from(detached).toString()).toMatch(/^STATE=\/elsewhere$/m);
});

test('the shell sources pass shellcheck', () => {
  execFileSync('shellcheck', ['-s', 'sh', ...SCRIPTS.map((name) => `${folder}/${name}`)]);
});
