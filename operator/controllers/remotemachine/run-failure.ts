/** Why a run failed, in words: pure. */
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { REQUEST } from '../../../apis/infrastructure/group.ts';
import type { Ended } from '../../runner/execution.ts';
import { claimedBy } from '../hosts/failure.ts';
import { TAIL } from '../../runner/protocol.ts';

/** Characters of output in a message: a condition has room for 2,048 in all, and the last lines matter. */
const SHOWN = 1_200;

export interface Expectations {
  runID: string;
  /** Removes secrets from what the host printed. */
  filter: (text: string) => string;
}

/** Undefined: it succeeded. */
export function failureOfRun(ended: Ended, { runID, filter }: Expectations): { reason: Reason; message: string } | undefined {
  const failed = (reason: Reason, what: string): { reason: Reason; message: string } => ({
    reason,
    message: `${what}. Run ${runID}: delete the Machine, or annotate ${REQUEST.retry}=${runID}${'outputTail' in ended ? lastOutput(ended.outputTail, filter) : ''}`,
  });
  if (ended.phase === 'Lost') {
    const now = ended.holder === undefined ? '' : `. ${claimedBy(ended.holder)}`;
    return failed(REASON.ClaimLost, `The host no longer has the claim of this machine: look at it before anything else runs there${now}`);
  }
  if (ended.phase === 'TimedOut')
    return failed(REASON.BootstrapTimedOut, `${ended.command || 'The run'} did not end in time and was killed`);
  if (ended.phase === 'Vanished') {
    const during = ended.command || 'its start';
    if (ended.rebooted)
      return failed(REASON.HostRebooted, `The host was switched off or rebooted during ${during}, which is not begun again`);
    return failed(REASON.BootstrapVanished, `The run was gone during ${during}: killed`);
  }
  if (ended.exitCode !== 0) return failed(REASON.BootstrapFailed, `${ended.command ?? 'The run'} failed with exit code ${ended.exitCode}`);
  if (!ended.sentinel) {
    return failed(REASON.SentinelMissing, 'Every command succeeded, but /run/cluster-api/bootstrap-success.complete was not written');
  }
  return undefined;
}

/** Goes before what a run or a cleanup printed. */
export const LAST_OUTPUT = '. Last output:\n';

/** The last lines, without secrets. The first line of a tail that was cut may be the rest of one that no filter knows. */
export function lastOutput(tail: string, filter: (text: string) => string): string {
  const whole = Buffer.byteLength(tail) < TAIL - 3 ? tail : tail.slice(tail.indexOf('\n') + 1 || tail.length);
  const text = filter(whole).trim();
  if (text === '') return '';
  const end = text.slice(-SHOWN);
  const shown = end.length < text.length && end.includes('\n') ? end.slice(end.indexOf('\n') + 1) : end;
  return LAST_OUTPUT + shown;
}
