/** The one place that decides what an error means: its reason, its words, and whether it is tried again. */
import { EXPLANATIONS, REASON, type Reason } from '../../../apis/infrastructure/conditions.ts';
import type { ConnectionSpec } from '../../../apis/infrastructure/connection.ts';
import { BootstrapDataError } from '../../bootstrap/plan.ts';
import { secretFilter } from '../../framework/redaction.ts';
import { ApiError } from '../../framework/types.ts';
import { endpointOf } from '../../pool/identity.ts';
import { RunUnavailable } from '../../runner/execution.ts';
import { type Claimant, type CleanResult, RunnerError } from '../../runner/types.ts';
import { SSHError, type SSHErrorReason } from '../../ssh/types.ts';

/** What a failure is about: the way to the host, the bootstrap data, the host itself, or the API server and this program. */
export type Concern = 'access' | 'data' | 'host' | 'api';

/** What a person wrote or left out; the message names the object. It is looked at again with backoff, as Secrets are not watched. */
export class InputError extends Error {
  readonly reason: Reason;
  readonly concerns: 'access' | 'data';
  constructor(reason: Reason, message: string, concerns: 'access' | 'data' = 'access') {
    super(message);
    this.name = 'InputError';
    this.reason = reason;
    this.concerns = concerns;
  }
}

export interface Failure {
  reason: Reason;
  message: string;
  /** True: it does not go away by itself, and nothing is tried again until something changes. */
  terminal: boolean;
  concerns: Concern;
}

/** Objects that a message names, as errors from further down know addresses only. */
export interface About {
  namespace: string;
  spec?: ConnectionSpec | undefined;
  /** Name of the bootstrap Secret. */
  dataSecret?: string | undefined;
  /** Takes secrets out of what the host said; not set: what looks like one. */
  filter?: ((words: string) => string) | undefined;
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
export function failureOf(error: unknown, about?: About): Failure {
  const filter = about?.filter ?? withoutTokens;
  const transient = (reason: Reason, message: string, concerns: Concern): Failure => ({ reason, message, terminal: false, concerns });
  if (error instanceof SSHError)
    return transient(error.reason, KEY.has(error.reason) ? keyed(error, about) : filter(error.message), 'access');
  if (error instanceof RunnerError) return transient(error.reason, filter(onHost(error, about)), 'host');
  if (error instanceof InputError) return transient(error.reason, error.message, error.concerns);
  if (error instanceof BootstrapDataError) {
    const secret = about?.dataSecret === undefined ? '' : `Bootstrap Secret ${about.namespace}/${about.dataSecret}: `;
    return { reason: error.reason, message: secret + error.message, terminal: true, concerns: 'data' };
  }
  if (error instanceof RunUnavailable) return transient(REASON.SecretNotFound, error.message, 'data');
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ApiError) {
    const reason = error.status === 403 ? REASON.Forbidden : REASON.InternalError;
    return transient(reason, `The API server refused a request: ${message}`, 'api');
  }
  return transient(REASON.InternalError, `Unexpected: ${message}`, 'api');
}

/** What a host says may be anything. */
const withoutTokens = secretFilter([]);

/** A fault of a key names the Secret that holds it. */
function keyed(error: SSHError, about: About | undefined): string {
  const spec = about?.spec;
  if (spec === undefined) return error.message;
  const bastion = spec.bastions?.find((hop) => endpointOf(hop) === error.hop.toLowerCase());
  const name = bastion?.sshKeyRef?.name ?? spec.sshKeyRef?.name;
  return name === undefined ? error.message : `Secret ${about?.namespace ?? ''}/${name}: ${error.message}`;
}

/** What the host said, on which host, and what can be done. */
function onHost(error: RunnerError, about: About | undefined): string {
  const host = about?.spec === undefined ? '' : `Host ${endpointOf(about.spec)}: `;
  const action = EXPLANATIONS[error.reason].action;
  return `${host}${error.message.replace(/\.$/, '')}${action === undefined ? '' : `. ${action}`}`;
}

export const claimedBy = ({ runID, machine }: Claimant): string =>
  `The host is claimed by RemoteMachine ${machine.namespace}/${machine.name}, run ${runID}`;

/** Which command or check of a cleanup failed, and how. */
export const failedCleanup = ({ command, message }: Extract<CleanResult, { outcome: 'Failed' }>): string =>
  command === '' ? message : `${command}: ${message}`;

/** Whether another free host may be tried: nothing was left on this one, and the fault is the host's or the way's, not the key's. */
export function allowsOtherHost(error: unknown): boolean {
  if (error instanceof SSHError) return CONTACT.has(error.reason);
  return error instanceof RunnerError && !['RunnerProtocol', 'HostRebooting'].includes(error.reason);
}
