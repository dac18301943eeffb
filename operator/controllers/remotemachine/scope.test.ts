import { CONDITION, REASON } from '../../../apis/infrastructure/conditions.ts';
import type { PooledRemoteMachine, RemoteMachine } from '../../../apis/infrastructure/kinds.ts';
import { REQUEST } from '../../../apis/infrastructure/group.ts';
import { MemoryLogger } from '../../framework/testing/log.ts';
import { MachineScope } from './scope.ts';

const scopeOf = (metadata: object = {}, status?: object): MachineScope =>
  new MachineScope(
    { metadata: { namespace: 'ns', name: 'm', uid: 'u', generation: 3, ...metadata }, ...(status && { status }) } as RemoteMachine,
    { log: new MemoryLogger(), signal: new AbortController().signal, now: new Date() },
  );
const told = (scope: MachineScope, type: keyof typeof CONDITION) => {
  const { status, reason, message, observedGeneration } = scope.condition(type) ?? {};
  return { status, reason, message, observedGeneration };
};
const failure = { reason: REASON.BootstrapFailed, message: 'no', terminal: true };

test('waiting is Unknown, in the condition and in Ready', () => {
  const scope = scopeOf();
  scope.wait(CONDITION.HostReserved, REASON.WaitingForHost, 'for one');
  const expected = { status: 'Unknown', reason: 'WaitingForHost', message: 'for one', observedGeneration: 3 };
  expect(told(scope, 'HostReserved')).toEqual(expected);
  expect(told(scope, 'Ready')).toEqual(expected);
});

test.each([
  ['HostReachable', false, 'False', 'Unknown'],
  ['BootstrapExecSucceeded', false, 'Unknown', 'Unknown'],
  ['BootstrapExecSucceeded', true, 'False', 'False'],
  ['HostReserved', true, 'False', 'False'],
] as const)('%s that failed (terminal: %s) is %s, Ready %s', (type, terminal, status, ready) => {
  const scope = scopeOf();
  scope.fail(type, { ...failure, terminal });
  expect(told(scope, type).status).toBe(status);
  expect(told(scope, 'Ready').status).toBe(ready);
  expect(scope.status.failureReason).toBe(terminal ? 'BootstrapFailed' : undefined);
});

test('a terminal failure that was mended leaves no failureReason', () => {
  const scope = scopeOf();
  scope.fail(CONDITION.HostReserved, failure);
  scope.wait(CONDITION.HostReachable, REASON.Connecting, '');
  expect(scope.status).not.toHaveProperty('failureReason');
  expect(scope.status).not.toHaveProperty('failureMessage');
});

test('a failed run stays told, whatever is awaited', () => {
  const scope = scopeOf({}, { bootstrap: { phase: 'Failed', runID: 'r' } });
  scope.fail(CONDITION.BootstrapExecSucceeded, failure);
  scope.wait(CONDITION.HostReserved, REASON.WaitingForOwnerMachine, '');
  expect(scope.status).toMatchObject({ failureReason: 'BootstrapFailed', failureMessage: 'no' });
  delete scope.status.bootstrap;
  scope.succeed('done');
  expect(scope.status).not.toHaveProperty('failureReason');
  expect(told(scope, 'Ready')).toMatchObject({ status: 'True', reason: 'Provisioned' });
});

test('messages are clipped', () => {
  const scope = scopeOf();
  scope.fail(CONDITION.BootstrapExecSucceeded, { ...failure, message: 'x'.repeat(10_000) });
  expect(scope.status.failureMessage).toHaveLength(2048);
  expect(told(scope, 'BootstrapExecSucceeded').message).toHaveLength(2048);
});

test('the status that is drawn up is not the one that was read', () => {
  const scope = scopeOf({}, { conditions: [] });
  scope.wait(CONDITION.HostReserved, REASON.WaitingForHost, '');
  expect(scope.machine.status?.conditions).toEqual([]);
});

test('an attempt depends on specs and accepted keys, not on other metadata', () => {
  const entry = (metadata: object) => ({ metadata: { uid: 'e', generation: 1, ...metadata } }) as PooledRemoteMachine;
  const version = (metadata: object, of?: PooledRemoteMachine): string => Object.assign(scopeOf(metadata), { entry: of }).version;
  const first = version({}, entry({}));
  expect(version({ labels: { a: 'b' }, resourceVersion: '7' }, entry({ annotations: { a: 'b' } }))).toBe(first);
  const accepting = { annotations: { [REQUEST.acceptHostKey]: 'SHA256:x' } };
  const others = [
    version({ generation: 4 }, entry({})),
    version({}, entry({ generation: 2 })),
    version({}, entry({ uid: 'f' })),
    version({}),
    version(accepting, entry({})),
    version({}, entry(accepting)),
  ];
  expect(new Set([first, ...others]).size).toBe(7);
});
