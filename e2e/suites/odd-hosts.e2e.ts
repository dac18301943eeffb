/** Hosts that are not as others: on each a machine's bootstrap runs once, is reported, and is cleaned when the machine goes. */
import type { HostOptions } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { mustExec } from '../fixtures/hosts.ts';
import { counting, Objects, runsOf } from '../fixtures/objects.ts';
import { errorsOf, Reports, sideBySide } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CLUSTER = 'odd';
const cleanUpCommands = ['rm -f /var/log/e2e-runs'];

const environment = sharedEnvironment('odd-hosts');
let objects: Objects;
let operator: Operator;
let reports: Reports;

beforeAll(async () => {
  const { client, namespace, startOperator } = environment();
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  operator = await startOperator({ name: 'odd-hosts', namespace });
  await client.applyAll(objects.cluster(CLUSTER));
});

interface Odd extends HostOptions {
  /** Makes the host odd: a shell program, run as root on it. */
  make: string;
  /** Proves that it is: fails if not. */
  prove: string;
  /** More of the machine's spec. */
  spec?: object;
  /** What its bootstrap runs first. */
  commands?: string[];
}

/** What a greeting says, which no message or condition may show. */
const GREETING = 'Welcome to';

/** rc files of root and admin that print on both streams in every shell, interactive or not. */
const printing = (shell: string) => `
for home in /root /home/admin; do
  mkdir -p $home/.config/fish
  printf 'echo ${GREETING} fish; echo ${GREETING} stderr >&2\\n' >$home/.config/fish/config.fish
  printf 'echo ${GREETING} csh\\nsh -c "echo ${GREETING} stderr >&2"\\n' >$home/.cshrc
  printf 'echo ${GREETING} bash; echo ${GREETING} stderr >&2\\n' >$home/.bashrc
done
chown -R admin: /home/admin
usermod --shell ${shell} root
usermod --shell ${shell} admin`;
/** It is what the account gets, prints its greeting even for one command, and is no POSIX shell. */
const greets = (shell: string, user = 'root') =>
  `[ "$(getent passwd ${user} | cut -d: -f7)" = ${shell} ] && su ${user} -c 'exit 7' | grep -q '${GREETING}' && ! su ${user} -c 'x=1; case $x in 1) echo POSIX ;; esac' 2>/dev/null | grep -q POSIX`;

/** Nothing may be executed from where files are commonly put for a while. */
const noexec = `
mkdir -p /no-exec
for place in /tmp /var/tmp /no-exec; do mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs $place; done
mount -o remount,noexec /run && mount -o remount,noexec /dev/shm
mount --bind /var/lib /var/lib && mount -o remount,bind,noexec /var/lib`;
const executesNothing = `
for place in /tmp /var/tmp /var/lib /no-exec /run /dev/shm; do
  printf '#!/bin/sh\\n' >$place/probe && chmod +x $place/probe && ! $place/probe 2>/dev/null && rm $place/probe || exit 1
done
sshd -T | grep -q 'setenv TMPDIR=/no-exec'`;

/** Nothing but busybox is left to be called, beside what runs the host. */
const busyboxOnly = `
usermod --shell /bin/sh root
busybox find /usr/bin /usr/sbin /usr/local /usr/games /usr/libexec ! -type d ! -name busybox ! -name tini ! -name sshd -exec busybox rm -f {} +
exec /usr/bin/busybox --install -s`;
const isBusybox = `
[ "$(readlink -f /bin/sh)" = /usr/bin/busybox ] && [ "$(command -v perl bash systemctl sudo python3 getconf)" = "" ] || exit 1
for tool in /usr/bin/* /usr/sbin/*; do
  case $(readlink -f $tool) in /usr/bin/busybox | /usr/bin/tini | /usr/sbin/sshd) ;; *) echo $tool; exit 1 ;; esac
done`;

/** Its generator is what gives /snap/bin to the services of systemd. */
const snapd = `
generator=/usr/lib/systemd/system-environment-generators/snapd-env-generator
mkdir -p "\${generator%/*}" /snap/bin
printf '#!/bin/sh\\n' | tee $generator >/snap/bin/e2e-snap
chmod +x $generator /snap/bin/e2e-snap`;

const ODD: Record<string, Odd> = {
  'MicroK8s or another program is a snap': { make: snapd, prove: '! command -v e2e-snap && /snap/bin/e2e-snap', commands: ['e2e-snap'] },
  'fish is the login shell, and greets': { make: printing('/usr/bin/fish'), prove: greets('/usr/bin/fish') },
  'tcsh is the login shell, and greets': { make: printing('/usr/bin/tcsh'), prove: greets('/usr/bin/tcsh') },
  'fish is the login shell of a user with sudo, and greets': {
    make: printing('/usr/bin/fish'),
    prove: greets('/usr/bin/fish', 'admin'),
    spec: { user: 'admin', useSudo: true },
  },
  'tcsh is the login shell of a user with sudo, and greets': {
    make: printing('/usr/bin/tcsh'),
    prove: greets('/usr/bin/tcsh', 'admin'),
    spec: { user: 'admin', useSudo: true },
  },
  'bash reads rc files that print': {
    make: printing('/bin/bash'),
    // As sshd starts it (bash(1), "remotely").
    prove: `SSH_CLIENT='10.0.0.1 1 22' SHLVL=0 bash -c 'exit 0' 2>&1 >/dev/null </dev/null | grep -q '${GREETING} stderr'`,
  },
  'nothing can be executed in TMPDIR, /tmp, /run and /var/lib': {
    make: noexec,
    prove: executesNothing,
    sshdConfig: 'SetEnv TMPDIR=/no-exec',
  },
  'there is no SFTP': {
    make: `sed -i '/^Subsystem/d' /etc/ssh/sshd_config; rm /usr/lib/openssh/sftp-server /usr/bin/scp; kill -HUP "$(cat /run/sshd.pid)"`,
    prove: `! sshd -T | grep -q '^subsystem' && ! command -v scp sftp-server`,
  },
  'there is nothing but busybox': { make: busyboxOnly, prove: isBusybox },
  'systemd runs it, fish is the login shell, and nothing can be executed in TMPDIR, /tmp, /run and /var/lib': {
    kind: 'full',
    make: printing('/usr/bin/fish') + noexec,
    prove: `[ -d /run/systemd/system ] || exit 1; ${greets('/usr/bin/fish')} || exit 1; ${executesNothing}`,
    sshdConfig: 'SetEnv TMPDIR=/no-exec',
  },
};

/** Shell features, an executable and a file of its own; what is in $PATH on every host. */
const dataOf = (first: string[]): string =>
  counting([
    ...first,
    `case $PWD in /) ;; *) exit 1 ;; esac; greet() { echo "$1 é" >/etc/e2e/said; }; greet 'it said "$x"'`,
    `printf '#!/bin/sh\\ncat /etc/e2e/said\\n' >/usr/local/bin/e2e-said; chmod +x /usr/local/bin/e2e-said; [ "$(e2e-said)" = 'it said "$x" é' ]`,
  ]);

async function life(name: string, { make, prove, spec = {}, commands = [], ...options }: Odd): Promise<void> {
  const { client, createHost } = environment();
  const host = await createHost(options);
  await mustExec(host, make);
  await mustExec(host, prove);
  const cleanUp = [...cleanUpCommands, 'rm -f /etc/e2e/said /usr/local/bin/e2e-said'];
  await client.applyAll(objects.explicit(name, CLUSTER, host, dataOf(commands), { cleanUpCommands: cleanUp, ...spec }));
  const ready = await reports.ready(name);
  expect(await runsOf(host)).toBe(1);
  expect(await host.readFile('/etc/e2e/config')).toBe('written by write_files\n');
  expect(await host.stat('/etc/e2e/config')).toMatchObject({ owner: 'root', group: 'root', mode: '640' });
  expect(await host.readFile('/etc/e2e/said')).toBe('it said "$x" é\n');
  expect(JSON.stringify(ready.status)).not.toContain(GREETING);
  const facts = {
    hostname: host.name,
    machineID: (await host.readFile('/etc/machine-id')).trim(),
    os: expect.stringMatching(/^Debian/) as string,
  };
  expect(ready.status?.['host']).toMatchObject({ ...facts, cpus: expect.any(Number) as number, memory: expect.anything() as unknown });

  await client.delete(objects.clusterRef('Machine', name));
  await client.waitForGone(objects.clusterRef('Machine', name));
  const left = await Promise.all(
    ['/var/log/e2e-runs', '/etc/e2e/config', '/etc/e2e/said', '/var/lib/cluster-api-provider-remote/claim'].map((path) =>
      host.exists(path),
    ),
  );
  expect(left).not.toContain(true);
  expect((await host.exec('ls -A /run/cluster-api-provider-remote')).stdout).toBe('');
}

describe('a host on which', () => {
  sideBySide(Object.fromEntries(Object.entries(ODD).map(([what, odd], index) => [what, () => life(`odd-${index}`, odd)])));
});

test('none of it is an error of the operator', () => {
  expect(operator.process.alive).toBe(true);
  expect(errorsOf(operator)).toEqual([]);
});
