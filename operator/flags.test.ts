/** The command line, in a process of its own where it is wrong, as that ends the process; and the page that tells of it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseFlags } from './flags.ts';

const root = path.join(__dirname, '..');
const flags = (...args: string[]) => parseFlags(['node', 'manager', ...args], '1.2.3');

/** What a process does that only reads its command line. */
function command(...args: string[]) {
  const program = "import { parseFlags } from './operator/flags.ts'; parseFlags(['node', 'manager', ...process.argv.slice(1)], '1.2.3');";
  return node(['--input-type=module', '--eval', program, '--', ...args]);
}
function node(args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('without flags everything has its default', () => {
  expect(flags()).toEqual({
    leaderElect: false,
    leaderElectionId: 'controller-leader-election-cluster-api-provider-remote',
    leaderElectLeaseDuration: 15_000,
    leaderElectRenewDeadline: 10_000,
    leaderElectRetryPeriod: 2_000,
    healthAddr: ':9440',
    diagnosticsAddress: ':8443',
    insecureDiagnostics: false,
    concurrency: 10,
    bootstrapTimeout: 3_600_000,
    cleanupDeadline: 600_000,
    sshConnectTimeout: 20_000,
    maxConnections: 2_000,
    maxConnectionsPerHost: 2,
    maxConnectionsPerBastion: 100,
    sshLegacyAlgorithms: false,
    logRunOutput: false,
    loggingFormat: 'json',
    v: 0,
    check: false,
  });
});

test.each<[string[], object]>([
  [['--kubeconfig', 'file'], { kubeconfig: 'file' }],
  [['--namespace=n'], { namespace: ['n'] }],
  [['--namespace', 'n, m,n'], { namespace: ['n', 'm'] }],
  [['--namespace=', '--watch-filter='], { namespace: undefined, watchFilter: undefined }],
  [['--namespace=*', '--watch-filter=*'], { namespace: undefined, watchFilter: undefined }],
  [['--watch-filter', 'w'], { watchFilter: 'w' }],
  [['--leader-elect', '--leader-election-namespace', 'n'], { leaderElect: true, leaderElectionNamespace: 'n' }],
  [['--leader-elect', '--leader-election-id', 'l'], { leaderElect: true, leaderElectionId: 'l' }],
  [
    ['--leader-elect-lease-duration', '4s', '--leader-elect-renew-deadline', '3s', '--leader-elect-retry-period', '500ms'],
    { leaderElectLeaseDuration: 4_000, leaderElectRenewDeadline: 3_000, leaderElectRetryPeriod: 500 },
  ],
  [['--health-addr', '127.0.0.1:1'], { healthAddr: '127.0.0.1:1' }],
  [['--insecure-diagnostics', '--diagnostics-address', ':2'], { insecureDiagnostics: true, diagnosticsAddress: ':2' }],
  [['--diagnostics-cert-dir', '/certificates'], { diagnosticsCertDir: '/certificates' }],
  [['--concurrency', '1'], { concurrency: 1 }],
  [['--bootstrap-timeout', '90s'], { bootstrapTimeout: 90_000 }],
  [['--bootstrap-timeout=1h30m'], { bootstrapTimeout: 5_400_000 }],
  [['--cleanup-deadline', '0'], { cleanupDeadline: 0 }],
  [['--ssh-connect-timeout', '1.5s'], { sshConnectTimeout: 1_500 }],
  [
    ['--max-connections', '3', '--max-connections-per-host', '4', '--max-connections-per-bastion', '5'],
    { maxConnections: 3, maxConnectionsPerHost: 4, maxConnectionsPerBastion: 5 },
  ],
  [['--ssh-legacy-algorithms', '--log-run-output'], { sshLegacyAlgorithms: true, logRunOutput: true }],
  [['--logging-format', 'text'], { loggingFormat: 'text' }],
  [['-v', '2'], { v: 2 }],
  [['-v2'], { v: 2 }],
  [['--v=0'], { v: 0 }],
])('%p', (args, expected) => expect(flags(...args)).toEqual({ ...flags(), ...expected }));

const DURATION = 'a duration such as 90s, 10m or 1h30m is expected';
test.each([
  [['--wrong'], "unknown option '--wrong'"],
  [['more'], 'too many arguments'],
  [['--namespace'], "option '--namespace <names>' argument missing"],
  [['--namespace', 'a,,b'], "option '--namespace <names>' argument 'a,,b' is invalid. names with single commas between them are expected"],
  [['--leader-elect=true'], "unknown option '--leader-elect=true'"],
  [['--bootstrap-timeout', '10'], `option '--bootstrap-timeout <duration>' argument '10' is invalid. ${DURATION}`],
  [['--cleanup-deadline', 'never'], `option '--cleanup-deadline <duration>' argument 'never' is invalid. ${DURATION}`],
  [['--ssh-connect-timeout', '-1s'], `option '--ssh-connect-timeout <duration>' argument '-1s' is invalid. ${DURATION}`],
  [['--concurrency', '0'], "option '--concurrency <n>' argument '0' is invalid. a number from 1 is expected"],
  [['--max-connections', '1.5'], "option '--max-connections <n>' argument '1.5' is invalid. a whole number is expected"],
  [['-v', '-1'], "option '-v, --v <n>' argument '-1' is invalid. a whole number is expected"],
  [['--v', 'debug'], "option '-v, --v <n>' argument 'debug' is invalid. a whole number is expected"],
  [['--logging-format', 'yaml'], "option '--logging-format <format>' argument 'yaml' is invalid. Allowed choices are json, text."],
])('%p ends the process and says why', (args, message) => {
  const { status, stdout, stderr } = command(...args);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain(`error: ${message}`);
});

test('the operator itself begins with it', () => {
  const { status, stderr } = node(['operator/main.ts', '--wrong']);
  expect(status).toBe(1);
  expect(stderr).toContain("error: unknown option '--wrong'");
}, 60_000);

test('-V is the version, as -v is the verbosity', () => expect(command('-V')).toMatchObject({ status: 0, stdout: '1.2.3\n' }));

describe('docs/reference/flags.md', () => {
  const page = readFileSync(path.join(root, 'docs/reference/flags.md'), 'utf8');
  /** Cells of the rows that begin with a code span, without backquotes. */
  const rows = [...page.matchAll(/^\| (`.*) \|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim().replaceAll('`', '')));
  const given = rows.flatMap(([flag = '', value = '']) => (flag.startsWith('-') ? [{ flag, value }] : []));

  test('lists every flag that there is', () => {
    const { status, stdout } = command('--help');
    expect(status).toBe(0);
    const known = [...stdout.matchAll(/^ {2}(-.*?)(?: {2,}|$)/gm)].map(([, flag]) => flag);
    expect(known.length).toBeGreaterThan(10);
    expect(given.map(({ flag }) => flag).sort()).toEqual(known.sort());
  });

  test('a kubeconfig is looked for where both say', () => {
    const help = command('--help').stdout.replaceAll(/\s+/g, ' ');
    const places = (text = ''): string[] => text.match(/KUBECONFIG|service account|~\/\.kube\/config/g) ?? [];
    const order = ['KUBECONFIG', 'service account', '~/.kube/config'];
    expect(places(/kubeconfig of the management cluster.*?--namespace/.exec(help)?.[0])).toEqual(order);
    expect(places(rows.find(([flag]) => flag?.startsWith('--kubeconfig'))?.[2])).toEqual(order);
  });

  test.each(given)('$flag has the default that it has there', ({ flag, value }) => {
    const [, name = ''] = /--([a-z-]+)/.exec(flag) ?? [];
    const field = name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const valueOf = (...args: string[]): unknown => Object.entries(flags(...args)).find(([key]) => key === field)?.[1];
    expect(valueOf()).toEqual(value === '' ? undefined : value === 'false' ? false : valueOf(`--${name}=${value}`));
  });
});
