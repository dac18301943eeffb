/** What a schema takes is what the flag, or whoever reads the object, takes. */
import { parseFlags } from '../../../operator/flags.ts';
import { type Fields, type Section, type Value, type ValueSchema, VALUES } from './values.ts';

const at = (path: string): Value | Section =>
  path.split('.').reduce<Value | Section>((field, name) => (field as Section).fields[name] as Value | Section, {
    kind: 'section',
    description: '',
    fields: VALUES,
  });
const taken = (path: string, text: string): boolean => {
  const { schema } = at(path) as Value;
  const { minLength = 0, maxLength = Infinity, allOf = [] } = schema as { minLength?: number; maxLength?: number; allOf?: ValueSchema[] };
  if (text.length < minLength || text.length > maxLength) return false;
  return [schema, ...allOf].every(({ pattern }) => new RegExp(String(pattern)).test(text));
};

const FLAGS: Record<string, string> = {
  bootstrapTimeout: '--bootstrap-timeout',
  cleanupDeadline: '--cleanup-deadline',
  'ssh.connectTimeout': '--ssh-connect-timeout',
  'leaderElection.leaseDuration': '--leader-elect-lease-duration',
  'leaderElection.renewDeadline': '--leader-elect-renew-deadline',
  'leaderElection.retryPeriod': '--leader-elect-retry-period',
};
const durations = (fields: Fields, prefix = ''): string[] =>
  Object.entries(fields).flatMap(([name, field]) =>
    field.kind === 'section' ? durations(field.fields, `${prefix}${name}.`) : field.description.includes('`1h30m`') ? [prefix + name] : [],
  );

/** Whether the manager starts with it: a wrong command line ends the process. */
function starts(flag: string): boolean {
  jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  jest.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
  try {
    parseFlags(['node', 'manager', flag], '1.2.3');
    return true;
  } catch (error) {
    if ((error as Error).message !== 'exit 1') throw error;
    return false;
  } finally {
    jest.restoreAllMocks();
  }
}

test('every duration but that of Prometheus is of a flag', () => expect(durations(VALUES).sort()).toEqual(Object.keys(FLAGS).sort()));

test.each(Object.entries(FLAGS))('%s takes the durations that its flag takes, and no others', (path, flag) => {
  const zeros = ['0', '0s', '0h0m', '0.0s'];
  for (const text of [...zeros, '90s', '10m', '1h30m', '0h1m', '0.5s', '1.5h', '500ms', '10', 'never', '', '-1s', '1 m', '1d'])
    expect({ text, taken: taken(path, text) }).toEqual({ text, taken: starts(`${flag}=${text}`) });
});

test.each([
  ['30s', true],
  ['1m30s', true],
  ['1.5h', false],
  ['30', false],
  ['', false],
  ['30s1m', false],
])('metrics.serviceMonitor.interval: "%s" is for the Prometheus operator: %p', (text, expected) => {
  expect(taken('metrics.serviceMonitor.interval', text)).toBe(expected);
});

const LONG = 'n'.repeat(64);
test.each<[string, string[], string[]]>([
  ['watchFilter', ['', 'team-a', 'A.b_c', '7'], ['x #y', 'a b: c', '-a', 'a.', '*', LONG]],
  ['nameOverride', ['', 'another'], ['My Name', 'a/b', LONG]],
  ['fullnameOverride', ['', 'full-1'], ['My_Name.', '1st', 'a.b', 'a-', LONG]],
  ['leaderElection.leaseName', ['', 'lease', '1.lease-b', LONG], ['My Lease', 'a..b', '.a', LONG.repeat(4)]],
  ['leaderElection.namespace', ['', 'leases', '1'], ['a.b', 'A', LONG]],
  ['serviceAccount.name', ['', 'account'], ['My account', 'a_b']],
  ['priorityClassName', ['', 'system-cluster-critical'], ['High']],
  ['diagnostics.certificateSecret', ['', 'certificate'], ['a b']],
  ['podDisruptionBudget.maxUnavailable', ['0%', '50%', '100%'], ['', '1', '101%', '-1%', 'half']],
])('%s takes what Kubernetes takes', (path, good, bad) => {
  expect(good.filter((text) => !taken(path, text))).toEqual([]);
  expect(bad.filter((text) => taken(path, text))).toEqual([]);
});
