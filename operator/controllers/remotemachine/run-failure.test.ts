import type { Ended } from '../../runner/execution.ts';
import { TAIL } from '../../runner/protocol.ts';
import { failureOfRun, lastOutput } from './run-failure.ts';

const at = new Date(0);
const same = (text: string): string => text;
const finished = (rest: object): Ended => ({
  phase: 'Finished',
  startedAt: at,
  finishedAt: at,
  exitCode: 0,
  sentinel: true,
  outputTail: '',
  ...rest,
});
const NEXT = 'Run r-1: delete the Machine, or annotate infrastructure.cluster.x-k8s.io/retry=r-1';

test.each<[string, Ended, object | undefined]>([
  ['it succeeded', finished({}), undefined],
  [
    'a command failed',
    finished({ exitCode: 3, command: 'runcmd[1]', outputTail: 'why\n' }),
    { reason: 'BootstrapFailed', message: `runcmd[1] failed with exit code 3. ${NEXT}. Last output:\nwhy` },
  ],
  ['no command is known', finished({ exitCode: 1 }), { reason: 'BootstrapFailed', message: `The run failed with exit code 1. ${NEXT}` }],
  [
    'no sentinel',
    finished({ sentinel: false }),
    {
      reason: 'SentinelMissing',
      message: `Every command succeeded, but /run/cluster-api/bootstrap-success.complete was not written. ${NEXT}`,
    },
  ],
  [
    'it vanished',
    { phase: 'Vanished', startedAt: at, command: 'runcmd[0]', rebooted: false, outputTail: '' },
    { reason: 'BootstrapVanished', message: `The run was gone during runcmd[0]: killed. ${NEXT}` },
  ],
  [
    'host rebooted',
    { phase: 'Vanished', startedAt: at, command: '', rebooted: true, outputTail: '' },
    {
      reason: 'HostRebooted',
      message: `The host was switched off or rebooted during its start, which is not begun again. ${NEXT}`,
    },
  ],
  [
    'it took too long',
    { phase: 'TimedOut', startedAt: at, command: 'runcmd[0]', outputTail: '' },
    { reason: 'BootstrapTimedOut', message: `runcmd[0] did not end in time and was killed. ${NEXT}` },
  ],
  [
    'its claim is gone',
    { phase: 'Lost', holder: undefined },
    {
      reason: 'ClaimLost',
      message: `The host no longer has the claim of this machine: look at it before anything else runs there. ${NEXT}`,
    },
  ],
  [
    'its host is of another run',
    { phase: 'Lost', holder: { runID: 'x-1', machine: { namespace: 'n', name: 'x', uid: 'u' } } },
    {
      reason: 'ClaimLost',
      message: `The host no longer has the claim of this machine: look at it before anything else runs there. The host is claimed by RemoteMachine n/x, run x-1. ${NEXT}`,
    },
  ],
])('%s', (_name, ended, failure) => expect(failureOfRun(ended, { runID: 'r-1', filter: same })).toEqual(failure));

describe('the last output', () => {
  test('is filtered before it is cut, so that half a secret is never shown', () => {
    const hide = (text: string): string => text.replaceAll('hunter2'.repeat(200), '[redacted]');
    expect(lastOutput(`begin\n${'hunter2'.repeat(200)}\nend`, hide)).toBe('. Last output:\nbegin\n[redacted]\nend');
  });

  test('keeps whole lines from the end', () => {
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i} ${'x'.repeat(20)}`);
    const shown = lastOutput(lines.slice(-200).join('\n'), same);
    expect(shown.length).toBeLessThan(1_300);
    expect(shown).toMatch(/^\. Last output:\nline \d+ x{20}\n/);
    expect(shown).toMatch(/line 499 x{20}$/);
  });

  test('of a tail that was cut is without its first line, which no filter may know', () => {
    const tail = `cret\n${'y'.repeat(TAIL - 10)}\nend`.slice(0, TAIL);
    expect(Buffer.byteLength(tail)).toBeGreaterThanOrEqual(TAIL - 3);
    expect(lastOutput(tail, same)).not.toContain('cret');
    expect(lastOutput('z'.repeat(TAIL), same)).toBe('');
  });

  test.each(['', '\n \n'])('says nothing of nothing', (tail) => expect(lastOutput(tail, same)).toBe(''));
});
