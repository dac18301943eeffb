import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLAIMANT, LocalHost, RUN, planOf } from './testing/local.ts';

jest.setTimeout(120_000);

/** A host whose systemd-run writes down its arguments and does `then` with the command after them. */
function systemdHost(version: string, then: string): LocalHost {
  const host = new LocalHost();
  const bin = host.path('bin');
  const fakes = {
    'systemd-run': `#!/bin/sh
[ "$1" != --version ] || { echo "systemd ${version}"; exit 0; }
for word in "$@"; do printf '%s\\n' "$word"; done >>${host.path('arguments')}
while [ "$1" != /bin/sh ]; do shift; done
${then}
`,
    systemctl: `#!/bin/sh\necho "$@" >>${host.path('systemctl')}\n`,
  };
  mkdirSync(bin);
  mkdirSync(host.paths.systemd);
  for (const [name, text] of Object.entries(fakes)) {
    writeFileSync(join(bin, name), text);
    chmodSync(join(bin, name), 0o755);
  }
  host.paths.path = `${bin}:${host.paths.path}`;
  return host;
}

const unit = `cluster-api-provider-remote-${RUN}.bootstrap.service`;

test.each<[string, string[], forgets?: boolean]>([
  ['252 (252.39-1~deb12u1)', ['-p', 'Type=exec', '--collect', '-p', 'OOMPolicy=continue']],
  ['241 (241)', ['-p', 'Type=exec', '--collect']],
  ['239 (239-82.el8)', ['--collect']],
  ['232', [], true],
])('with systemd %s a run is a unit that outlives everything, of options that it knows', async (version, options, forgets = false) => {
  await using host = systemdHost(version, 'setsid "$@" </dev/null >/dev/null 2>&1 &');
  const { state } = await host.bootstrap(planOf('echo ran'));
  expect(state).toMatchObject({ phase: 'Finished', outputTail: 'ran\n' });
  const words = readFileSync(host.path('arguments'), 'utf8').trim().split('\n');
  expect(words).toEqual([
    ...['--no-block', '--quiet', `--unit=${unit}`, '-p', 'KillMode=process', '-p', 'TasksMax=infinity', ...options],
    ...['/bin/sh', expect.stringMatching(/\/claim\/run\.[^/]+\/bootstrap\/data\.[^/]+\/program$/) as string, 'run', RUN, 'bootstrap'],
  ]);
  // Without --collect a unit that failed would stand in the way.
  expect(existsSync(host.path('systemctl'))).toBe(forgets);
  if (forgets) expect(host.read('systemctl')).toBe(`reset-failed ${unit}\n`);
});

test('a unit that is queued already is waited for', async () => {
  const then =
    'setsid "$@" </dev/null >/dev/null 2>&1 & echo "Failed to start transient service unit: Unit x.service already exists." >&2; exit 1';
  await using host = systemdHost('252', then);
  expect((await host.bootstrap(planOf('true'))).state).toMatchObject({ phase: 'Finished', exitCode: 0 });
});

test('a systemd that refuses is quoted, and the start can be repeated', async () => {
  await using host = systemdHost(
    '252',
    `[ -e $0.works ] || { echo "Failed to connect to bus" >&2; exit 1; }; setsid "$@" </dev/null >/dev/null 2>&1 &`,
  );
  await host.runner().claim(CLAIMANT, undefined);
  const start = (): Promise<void> => host.start(planOf('echo ran'));
  await expect(start()).rejects.toMatchObject({ reason: 'HostUnsuitable', message: 'Failed to connect to bus' });
  expect((await host.runner().inspect(RUN)).state).toEqual({ phase: 'Claimed' });
  writeFileSync(host.path('bin', 'systemd-run.works'), '');
  await start();
  expect(await host.runner().follow(RUN, 0, () => undefined)).toMatchObject({ exitCode: 0 });
});
