import fc from 'fast-check';
import { errorOf, holderOf, parseAnswer, stateOf } from './protocol.ts';
import type { Line } from './words.ts';

const NONCE = '0123abcd';
const NAME = Buffer.from('runcmd[2]').toString('base64');

test('an answer is found in whatever surrounds and interrupts it', () => {
  const noise = fc.array(fc.string().filter((line) => !line.includes('\n') && !line.startsWith(NONCE)));
  const lines = fc.array(
    fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[ -~]*$/)).filter(([key]) => key !== 'begin' && key !== 'end'),
  );
  fc.assert(
    fc.property(lines, noise, (answer: Line[], others) => {
      const told = ['begin ', ...answer.map((line) => line.join(' ')), 'end'].flatMap((line, index) => [
        others[index] ?? '',
        `${NONCE} ${line}`,
      ]);
      expect(parseAnswer([...others, ...told, ...others].join('\n'), NONCE)).toEqual(answer);
    }),
  );
});

test.each(['', 'begin\nend\n', `${NONCE} begin\n`, `${NONCE} end\n`, `other begin\n${NONCE} state Claimed\nother end\n`])(
  '%j is no answer',
  (text) => {
    expect(parseAnswer(text, NONCE)).toBeUndefined();
  },
);

test.each<[string, object]>([
  ['Claimed', { phase: 'Claimed' }],
  [`Running 1700000000 shell ${NAME}`, { phase: 'Running', command: 'runcmd[2]', startedAt: new Date('2023-11-14T22:13:20Z') }],
  ['Running 1700000000 - -', { phase: 'Running', command: '' }],
  [`Vanished 1700000000 shell ${NAME}`, { phase: 'Vanished', command: 'runcmd[2]', rebooted: false, outputTail: 'a\nb' }],
  [
    `Finished 1700000000 2 1700000001 no shell ${NAME}`,
    { phase: 'Finished', exitCode: 2, command: 'runcmd[2]', sentinel: false, outputTail: 'a\nb' },
  ],
  [`Finished 1700000000 0 1700000001 yes shell ${NAME}`, { phase: 'Finished', exitCode: 0, sentinel: true }],
])('state %s', (text, expected) => {
  const tail = Buffer.from(`\x1erun-1 command 1 ${NAME}\na\nb`).toString('base64');
  expect(
    stateOf(
      [
        ['state', text],
        ['tail', tail],
      ],
      'run-1',
    )?.state,
  ).toMatchObject(expected);
});

test('a tail that was cut within a mark does not show the rest of it, and has 8 KiB', () => {
  const raw = Buffer.from(`mmand 1 ${NAME}\n`.padEnd(12 * 1024, 'x'));
  const found = stateOf(
    [
      ['state', 'Vanished 1 - -'],
      ['tail', raw.toString('base64')],
    ],
    'run-1',
  );
  expect(found?.state).toMatchObject({ outputTail: 'x'.repeat(8192) });
});

test('errors carry the words of the host, and who has it', () => {
  expect(errorOf([['error', 'HostNotWritable mkdir: cannot create']])).toMatchObject({
    reason: 'HostNotWritable',
    message: 'mkdir: cannot create',
  });
  expect(errorOf([['error', 'Nonsense x']])).toMatchObject({ reason: 'RunnerProtocol' });
  expect(errorOf([['fact', 'os x']])).toBeUndefined();
  const holder: Line[] = [
    ['holder', 'run r'],
    ['holder', 'namespace n'],
    ['holder', 'name m'],
    ['holder', 'uid u'],
    ['error', 'HostInUse '],
  ];
  const claimant = { runID: 'r', machine: { namespace: 'n', name: 'm', uid: 'u' } };
  const message = 'the host is claimed by run r of machine n/m (uid u)';
  expect(errorOf(holder)).toMatchObject({ reason: 'HostInUse', message, holder: claimant });
  expect(holderOf(holder)).toEqual(claimant);
});
