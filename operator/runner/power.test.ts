import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PowerStep, Step } from '../bootstrap/plan.ts';
import { CLAIMANT, LocalHost, planOf, RUN, USERLANDS } from './testing/local.ts';

jest.setTimeout(120_000);

const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const reboot = (more: Partial<PowerStep> = {}): PowerStep => ({ kind: 'power', name: 'power_state', mode: 'reboot', delay: 0, ...more });

/** A host whose `shutdown` writes down its arguments, and what was on the disk when it was called. */
function host(userland?: ConstructorParameters<typeof LocalHost>[0], then = ''): LocalHost {
  const made = new LocalHost(userland);
  const bin = made.path('bin');
  mkdirSync(bin);
  const script = `#!/bin/sh
for word in "$@"; do printf '%s|' "$word"; done >>${made.path('calls')}
cat ${made.room('bootstrap', 'result')} >>${made.path('seen')}
ls ${made.room('bootstrap')} | grep -c '^data' >>${made.path('seen')} || :
${then}
`;
  writeFileSync(join(bin, 'shutdown'), script);
  chmodSync(join(bin, 'shutdown'), 0o755);
  made.paths.path = `${bin}:${made.paths.path}`;
  return made;
}

const calls = (made: LocalHost): string => (existsSync(made.path('calls')) ? made.read('calls') : '');
/** As if the host had been switched off and on since. */
const bootAnew = (made: LocalHost, file: string): void => {
  const path = made.room('bootstrap', file);
  writeFileSync(path, readFileSync(path, 'utf8').replace(BOOT, 'another-boot'));
};
const stateOf = async (made: LocalHost) => (await made.runner().inspect(RUN)).state;

describe.each(Object.keys(USERLANDS) as (keyof typeof USERLANDS)[])('with %s', (name) => {
  test('a reboot is asked for once the result is on the disk, and the run is finished once it has come', async () => {
    await using made = host(USERLANDS[name]());
    const { state } = await made.bootstrap(planOf('echo ran', reboot({ delay: 5, message: 'good bye, all' })));
    expect(state).toMatchObject({ phase: 'Rebooting' });
    expect(await stateOf(made)).toMatchObject({ phase: 'Rebooting' });
    expect(calls(made)).toBe('-r|+5|good bye, all|');
    expect(made.read('seen')).toMatch(new RegExp(`^0 \\d+ unneeded power \\S+ ${BOOT}\n0\n$`));
    bootAnew(made, 'result');
    expect(await stateOf(made)).toMatchObject({ phase: 'Finished', exitCode: 0, sentinel: true });
    expect(await made.runner().follow(RUN, 0, () => undefined)).toMatchObject({ phase: 'Finished', exitCode: 0 });
  });
});

test.each<[string, Step[], string]>([
  ['a condition that holds', [reboot({ condition: 'test "$HOME" = /root' })], '-r|now|'],
  ['a condition that does not', [reboot({ condition: 'exit 1' })], ''],
  ['of several the first that holds', [reboot({ condition: 'false' }), reboot({ mode: 'poweroff' }), reboot()], '-P|now|'],
])('%s', async (_, steps, called) => {
  await using made = host();
  const { state } = await made.bootstrap(planOf('true', ...steps));
  expect(calls(made)).toBe(called);
  expect(state).toMatchObject(called === '' ? { phase: 'Finished', exitCode: 0 } : { phase: 'Rebooting' });
});

test.each<[string, Step[], number]>([
  ['a run that fails', [{ kind: 'command', name: 'runcmd[0]', script: 'exit 3' }, reboot()], 3],
  ['a condition that fails', [reboot({ condition: 'exit 4' })], 4],
])('%s asks for nothing', async (_, steps, exitCode) => {
  await using made = host();
  expect((await made.bootstrap(planOf(...steps))).state).toMatchObject({ phase: 'Finished', exitCode });
  expect(calls(made)).toBe('');
});

test('a sentinel that is missing asks for nothing', async () => {
  await using made = host();
  const { state } = await made.bootstrap({ ...planOf('true', reboot()), expectsSentinel: true });
  expect(state).toMatchObject({ phase: 'Finished', exitCode: 0, sentinel: false });
  expect(calls(made)).toBe('');
});

test('a host that refuses to reboot has failed', async () => {
  await using made = host(undefined, 'exit 5');
  await made.bootstrap(planOf('true', reboot()));
  for (let state = await stateOf(made); state?.phase !== 'Finished'; state = await stateOf(made)) expect(state?.phase).toBe('Rebooting');
  expect(await stateOf(made)).toMatchObject({ exitCode: 1, command: 'power_state' });
});

test('a run that was gone tells whether its host has booted since', async () => {
  await using made = host();
  await made.runner().claim(CLAIMANT, undefined);
  await made.start(planOf('sleep 60'));
  process.kill(-made.pid(), 'SIGKILL');
  for (let state = await stateOf(made); state?.phase !== 'Vanished'; state = await stateOf(made)) expect(state?.phase).toBe('Running');
  expect(await stateOf(made)).toMatchObject({ phase: 'Vanished', rebooted: false });
  bootAnew(made, 'boot');
  expect(await stateOf(made)).toMatchObject({ phase: 'Vanished', rebooted: true });
});
