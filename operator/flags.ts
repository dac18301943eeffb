/** Command line flags, named as the Cluster API managers have them. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { LEASE_NAME } from '../apis/rights.ts';
import { durationOf } from './controllers/hosts/duration.ts';

export interface Flags {
  kubeconfig?: string;
  /** Not set: all. */
  namespace?: string[];
  watchFilter?: string;
  leaderElect: boolean;
  leaderElectionNamespace?: string;
  leaderElectionId: string;
  /** ms */
  leaderElectLeaseDuration: number;
  /** ms */
  leaderElectRenewDeadline: number;
  /** ms */
  leaderElectRetryPeriod: number;
  healthAddr: string;
  diagnosticsAddress: string;
  diagnosticsCertDir?: string;
  insecureDiagnostics: boolean;
  concurrency: number;
  /** ms */
  bootstrapTimeout: number;
  /** ms; 0 is never */
  cleanupDeadline: number;
  /** ms */
  sshConnectTimeout: number;
  maxConnections: number;
  maxConnectionsPerHost: number;
  maxConnectionsPerBastion: number;
  sshLegacyAlgorithms: boolean;
  logRunOutput: boolean;
  loggingFormat: 'json' | 'text';
  v: number;
  check: boolean;
}

/** Manifests with variables set a flag to something where there is nothing to say. No namespace and no label's value is a star. */
const isAll = (text: string): boolean => ['', '*'].includes(text.trim());

function names(text: string): string[] {
  const all = text.split(',').map((name) => name.trim());
  if (isAll(text)) return [];
  if (all.includes('')) throw new InvalidArgumentError('names with single commas between them are expected');
  return [...new Set(all)];
}

function duration(text: string): number {
  const value = durationOf(text);
  if (value === undefined) throw new InvalidArgumentError('a duration such as 90s, 10m or 1h30m is expected');
  return value;
}

function positiveDuration(text: string): number {
  const value = duration(text);
  if (value === 0) throw new InvalidArgumentError('a duration above 0 is expected');
  return value;
}

/** Its value in ms, and how it is shown. */
function defaultDuration(text: string): [number, string] {
  return [duration(text), text];
}

function ofLease(flag: string, meaning: string, standard: string): Option {
  return new Option(`${flag} <duration>`, meaning).argParser(positiveDuration).default(...defaultDuration(standard));
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is expected');
  return value;
}

function positive(text: string): number {
  const value = count(text);
  if (value === 0) throw new InvalidArgumentError('a number from 1 is expected');
  return value;
}

/** Ends the process with a message where the command line is wrong, as commander does. */
export function parseFlags(argv: readonly string[], version: string): Flags {
  const command = new Command('manager')
    .description('Cluster API infrastructure provider for machines that already exist and are reached over SSH.')
    .version(version)
    .option(
      '--kubeconfig <file>',
      'kubeconfig of the management cluster; not set: KUBECONFIG, else the service account of the pod, else ~/.kube/config',
    )
    .option('--namespace <names>', 'namespaces to watch, with commas between them; not set, empty or *: all', names)
    .option('--watch-filter <value>', 'only objects whose label cluster.x-k8s.io/watch-filter has this value; not set, empty or *: all')
    .option('--leader-elect', 'lead by a Lease before doing anything', false)
    .option('--leader-election-namespace <name>', 'namespace of the Lease; not set: the namespace of the pod')
    .option('--leader-election-id <name>', 'name of the Lease: managers that share it stand by for each other', LEASE_NAME)
    .addOption(ofLease('--leader-elect-lease-duration', "time after which a Lease that its leader does not renew is another one's", '15s'))
    .addOption(ofLease('--leader-elect-renew-deadline', 'time without a renewal after which the leader stops', '10s'))
    .addOption(ofLease('--leader-elect-retry-period', 'time between two attempts to take or renew the Lease', '2s'))
    .option('--health-addr <address>', 'address of /healthz and /readyz', ':9440')
    .option('--diagnostics-address <address>', 'address of /metrics and /debug/flags/v, over HTTPS to whoever has the right', ':8443')
    .option('--diagnostics-cert-dir <folder>', 'folder of tls.crt and tls.key for diagnostics; not set: a certificate is made')
    .option('--insecure-diagnostics', 'serve /metrics, and nothing else, over plain HTTP to everyone', false)
    .option('--concurrency <n>', 'objects of a kind that are reconciled at once', positive, 10)
    .addOption(
      new Option('--bootstrap-timeout <duration>', 'longest time of a bootstrap; annotation bootstrap-timeout overrides it')
        .argParser(positiveDuration)
        .default(...defaultDuration('1h')),
    )
    .addOption(
      new Option('--cleanup-deadline <duration>', 'time after which a machine goes although its host could not be cleaned; 0 is never')
        .argParser(duration)
        .default(...defaultDuration('10m')),
    )
    .addOption(
      new Option('--ssh-connect-timeout <duration>', 'longest time for connecting to one host or bastion')
        .argParser(positiveDuration)
        .default(...defaultDuration('20s')),
    )
    .option('--max-connections <n>', 'SSH connections at once', positive, 2_000)
    .option('--max-connections-per-host <n>', 'SSH connections to one host at once', positive, 2)
    .option('--max-connections-per-bastion <n>', 'SSH connections through one bastion at once', positive, 100)
    .option('--ssh-legacy-algorithms', 'offer algorithms that OpenSSH has disabled', false)
    .option('--log-run-output', 'log what runs print, with secrets removed', false)
    .addOption(new Option('--logging-format <format>', 'form of the log').choices(['json', 'text']).default('json'))
    .option('--check', 'say whether kinds, rights and a leader are there, and end', false)
    .option('-v, --v <n>', 'verbosity of the log: 0 info, 2 debug', count, 0);
  // -v is verbosity here, as everywhere in Cluster API.
  command.parse([...argv]);
  const { namespace = [], watchFilter = '', ...others } = command.opts<Flags>();
  return { ...others, ...(namespace.length > 0 && { namespace }), ...(!isAll(watchFilter) && { watchFilter }) };
}
