/** The one place that decides what an error means: its reason, its words, and whether it is tried again. */
import { REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import { BootstrapDataError } from '../../bootstrap/plan.ts';
import { ApiError } from '../../framework/types.ts';
import { RunUnavailable } from '../../runner/execution.ts';
import { RunnerError } from '../../runner/types.ts';
import { SSHError, type SSHErrorReason } from '../../ssh/types.ts';

/** What a person wrote or left out; the message names the object. It is looked at again with backoff, as Secrets are not watched. */
export class InputError extends Error {
  readonly reason: Reason;
  constructor(reason: Reason, message: string) {
    super(message);
    this.name = 'InputError';
    this.reason = reason;
  }
}

export interface Failure {
  reason: Reason;
  message: string;
  /** True: it does not go away by itself, and nothing is tried again until something changes. */
  terminal: boolean;
  /** What it is about: the way to the host, what was given, or the host itself. */
  concerns: 'contact' | 'input' | 'host' | 'api';
}

/** Met before anything was sent to the host's shell, so that another host may be tried in its place. */
const CONTACT: ReadonlySet<SSHErrorReason> = new Set<SSHErrorReason>([
  'AddressNotFound',
  'ConnectionRefused',
  'HostUnreachable',
  'ConnectTimeout',
  'HandshakeFailed',
  'HostKeyChanged',
  'HostKeyUnknown',
  'AuthenticationFailed',
  'ForwardingRefused',
]);

const KEY: ReadonlySet<SSHErrorReason> = new Set<SSHErrorReason>(['InvalidPrivateKey', 'PassphraseRequired', 'WrongPassphrase']);

/**
 * Everything over SSH is transient: hosts come back, keys and sudoers are mended without an event that we would see.
 * Terminal are bootstrap data that can't be honoured and (decided where the run's end is read) a run that failed.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof SSHError) {
    const concerns = KEY.has(error.reason) ? 'input' : 'contact';
    return { reason: error.reason, message: error.message, terminal: false, concerns };
  }
  if (error instanceof RunnerError) return { reason: error.reason, message: error.message, terminal: false, concerns: 'host' };
  if (error instanceof InputError) return { reason: error.reason, message: error.message, terminal: false, concerns: 'input' };
  if (error instanceof BootstrapDataError) return { reason: error.reason, message: error.message, terminal: true, concerns: 'input' };
  if (error instanceof RunUnavailable) return { reason: REASON.SecretNotFound, message: error.message, terminal: false, concerns: 'input' };
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ApiError) {
    return { reason: REASON.InternalError, message: `The API server refused a request: ${message}`, terminal: false, concerns: 'api' };
  }
  return { reason: REASON.InternalError, message: `Unexpected: ${message}`, terminal: false, concerns: 'api' };
}

/** Whether another free host may be tried: nothing was left on this one, and the fault is the host's or the way's, not the key's. */
export function allowsOtherHost(error: unknown): boolean {
  if (error instanceof SSHError) return CONTACT.has(error.reason);
  return error instanceof RunnerError && error.reason !== 'RunnerProtocol';
}
