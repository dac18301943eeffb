import { EXPLANATIONS, REASON } from '../../../apis/infrastructure/conditions.ts';
import { BootstrapDataError, type BootstrapDataErrorReason } from '../../bootstrap/plan.ts';
import { ApiError } from '../../framework/types.ts';
import { RunUnavailable } from '../../runner/execution.ts';
import { RunnerError, type RunnerErrorReason } from '../../runner/types.ts';
import { SSHError, type SSHErrorReason } from '../../ssh/types.ts';
import { allowsOtherHost, failureOf, InputError } from './failure.ts';

/** Each reason, and whether another host may be tried in place of one that gives it. Total: one that is missing does not compile. */
const SSH: Record<SSHErrorReason, boolean> = {
  InvalidPrivateKey: false,
  PassphraseRequired: false,
  WrongPassphrase: false,
  AddressNotFound: true,
  ConnectionRefused: true,
  HostUnreachable: true,
  ConnectTimeout: true,
  HandshakeFailed: true,
  HostKeyChanged: true,
  HostKeyUnknown: true,
  AuthenticationFailed: true,
  SudoPasswordRequired: false,
  SudoUnavailable: false,
  ForwardingRefused: true,
  ChannelRefused: false,
  ExecTimeout: false,
  OutputTooLong: false,
  ConnectionLost: false,
};
const RUNNER: Record<RunnerErrorReason, boolean> = {
  HostInUse: true,
  ClaimLost: true,
  HostNotWritable: true,
  HostUnsuitable: true,
  StillRunning: true,
  RunnerProtocol: false,
  HostRebooting: false,
};
const DATA: Record<BootstrapDataErrorReason, true> = {
  BootstrapDataEmpty: true,
  BootstrapDataBinary: true,
  BootstrapDataTooLarge: true,
  BootstrapDataInvalid: true,
  BootstrapFormatUnsupported: true,
  BootstrapKeyUnsupported: true,
};
const entries = <K extends string, V>(table: Record<K, V>) => Object.entries(table) as [K, V][];

test.each(entries(SSH))('%s is tried again', (reason, elsewhere) => {
  const error = new SSHError(reason, '10.0.0.1:22', 'words');
  expect(failureOf(error)).toEqual({ reason, message: 'words', terminal: false, concerns: 'access' });
  expect(allowsOtherHost(error)).toBe(elsewhere);
});

test.each(entries(RUNNER))('%s is tried again, names the host and says what to do', (reason, elsewhere) => {
  const error = new RunnerError(reason, 'words.');
  const failure = failureOf(error, { namespace: 'ns', spec: { address: 'FD00::1', port: 2222 } });
  expect(failure).toMatchObject({ reason, terminal: false, concerns: 'host' });
  expect(failure.message).toBe(`Host [fd00::1]:2222: words. ${EXPLANATIONS[reason].action ?? ''}`);
  expect(allowsOtherHost(error)).toBe(elsewhere);
});

test.each(entries(DATA))('%s is terminal and names the Secret', (reason) => {
  const error = new BootstrapDataError(reason, 'line 3: no');
  expect(failureOf(error, { namespace: 'ns', dataSecret: 'data' })).toEqual({
    reason,
    message: 'Bootstrap Secret ns/data: line 3: no',
    terminal: true,
    concerns: 'data',
  });
  expect(failureOf(error).message).toBe('line 3: no');
  expect(allowsOtherHost(error)).toBe(false);
});

describe('a fault of a key', () => {
  const spec = {
    address: '10.0.0.1',
    sshKeyRef: { name: 'key' },
    bastions: [{ address: 'Gate.example', sshKeyRef: { name: 'gate-key' } }, { address: 'inner.example' }],
  };
  test.each([
    ['10.0.0.1:22', 'key'],
    ['gate.example:22', 'gate-key'],
    ['inner.example:22', 'key'],
  ])('of %s names the Secret %s', (hop, name) => {
    const error = new SSHError('WrongPassphrase', hop, 'words');
    expect(failureOf(error, { namespace: 'ns', spec }).message).toBe(`Secret ns/${name}: words`);
  });
});

test.each<[unknown, string, string, RegExp]>([
  [new InputError(REASON.SecretNotFound, 'words'), 'SecretNotFound', 'access', /^words$/],
  [new InputError(REASON.SecretKeyMissing, 'words', 'data'), 'SecretKeyMissing', 'data', /^words$/],
  [new RunUnavailable('words'), 'SecretNotFound', 'data', /^words$/],
  [new ApiError(403, 'Forbidden', 'no'), 'Forbidden', 'api', /API server refused.*no/],
  [new TypeError('oops'), 'InternalError', 'api', /^Unexpected: oops$/],
  ['thrown', 'InternalError', 'api', /thrown/],
])('%s', (error, reason, concerns, message) => {
  const failure = failureOf(error);
  expect(failure).toMatchObject({ reason, concerns, terminal: false });
  expect(failure.message).toMatch(message);
  expect(allowsOtherHost(error)).toBe(false);
});
