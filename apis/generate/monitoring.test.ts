/** Alerts and dashboard: what they ask for is what the manager serves, and whoever is woken finds a page. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { managerMetrics } from '../../operator/metrics.ts';
import { RUN_RESULTS, MACHINE_PHASES } from '../../operator/controllers/metrics/machines.ts';
import { ENTRY_STATES } from '../../operator/controllers/metrics/pools.ts';
import { REASON } from '../infrastructure/conditions.ts';

const root = path.join(__dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

interface Rule {
  alert: string;
  expr: string;
  annotations: Record<string, string>;
}
const { groups } = parse(read('manifests/monitoring/alerts.yaml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string; refId: string }[];
}
interface Dashboard {
  uid: string;
  panels: Panel[];
  templating: { list: { name: string; type: string; query: string | { query: string } }[] };
}
const dashboard = JSON.parse(read('manifests/monitoring/dashboard.json')) as Dashboard;

/** As Grafana fills in before it asks Prometheus. */
const filled = (expr: string): string => expr.replaceAll('$__rate_interval', '5m');
const queries = [
  ...rules.map(({ alert, expr }) => ({ what: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, refId }) => ({ what: `${title} ${refId}`, expr: filled(expr) })),
  ),
];

/** Names of metrics in an expression, each with the labels that it is chosen by and their values, and labels by which it is grouped. */
function metricsOf(expr: string) {
  const tree = parser.parse(expr);
  const text = ({ from, to }: { from: number; to: number }): string => expr.slice(from, to);
  const found: { name: string; labels: [name: string, value: string][] }[] = [];
  const grouped: string[] = [];
  tree.iterate({
    enter: ({ type, node }) => {
      if (type.isError) throw new Error(`${expr}: not understood at "${expr.slice(node.from)}"`);
      if (type.name === 'GroupingLabels') grouped.push(...node.getChildren('LabelName').map(text));
      if (type.name !== 'VectorSelector') return;
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      const labels = matchers.map((matcher): [string, string] => {
        const [name, value] = [matcher.getChild('LabelName'), matcher.getChild('StringLiteral')];
        return [name === null ? '' : text(name), value === null ? '' : text(value).slice(1, -1)];
      });
      const name = node.getChild('Identifier');
      found.push({ name: name === null ? '' : text(name), labels });
    },
  });
  return { found, grouped };
}

const { registry } = managerMetrics({ version: '', now: () => new Date(), waiting: () => 0 });
/** Labels of a metric as Prometheus stores it: a histogram is three of them. Undefined: there is none. */
async function labelsOf(name: string): Promise<string[] | undefined> {
  const all = await registry.getMetricsAsJSON();
  const [, base = '', part = ''] = /^(.*?)(_bucket|_sum|_count)?$/.exec(name) ?? [];
  const metric = all.find((each) => each.name === name) ?? all.find((each) => each.name === base && String(each.type) === 'histogram');
  if (metric === undefined) return undefined;
  const { labelNames } = registry.getSingleMetric(metric.name) as unknown as { labelNames: string[] };
  return [...labelNames, ...(part === '_bucket' ? ['le'] : [])];
}
/** What Prometheus adds to each series. */
const TARGET = ['job', 'instance'];

test.each(queries)('$what asks for metrics and labels that there are', async ({ expr }) => {
  const { found, grouped } = metricsOf(expr);
  expect(found.length).toBeGreaterThan(0);
  const known = new Set(TARGET);
  for (const { name, labels } of found) {
    const there = await labelsOf(name);
    expect({ name, isThere: there !== undefined }).toEqual({ name, isThere: true });
    for (const [label] of labels) expect({ name, labels: there }).toEqual({ name, labels: expect.arrayContaining([label]) as string[] });
    for (const label of there ?? []) known.add(label);
  }
  for (const label of grouped) expect([...known]).toContain(label);
});

/** Words that a label may have, where these are known. */
const WORDS: Record<string, readonly string[]> = {
  phase: MACHINE_PHASES,
  state: ENTRY_STATES,
  reason: Object.keys(REASON),
  result: RUN_RESULTS,
  name: ['remotemachine', 'pooledremotemachine', 'remotecluster', 'controller-leader-election-cluster-api-provider-remote'],
  controller: ['remotemachine', 'pooledremotemachine', 'remotecluster'],
};
test.each(queries)('$what chooses by words that there are', ({ expr }) => {
  for (const [label, value] of metricsOf(expr).found.flatMap(({ labels }) => labels)) {
    const words = WORDS[label];
    if (words !== undefined) for (const word of value.split('|')) expect(words).toContain(word);
  }
});

test('what is no PromQL, or names what there is not, is found', async () => {
  expect(() => metricsOf('sum(rate(')).toThrow('not understood');
  expect(await labelsOf('capremote_pool_size')).toBeUndefined();
  expect(metricsOf('sum by (pool) (a_bucket{le="1"}) / b').found.map(({ name }) => name)).toEqual(['a_bucket', 'b']);
});

test('every alert has a runbook, which is linked from the page on monitoring, and a case', () => {
  const names = rules.map(({ alert }) => alert);
  expect(rules.map(({ annotations }) => annotations['runbook_url'])).toEqual(names.map((name) => `docs/runbooks/${name}.md`));
  expect(names.filter((name) => !existsSync(path.join(root, `docs/runbooks/${name}.md`)))).toEqual([]);
  expect(readdirSync(path.join(root, 'docs/runbooks')).sort()).toEqual(names.map((name) => `${name}.md`).sort());
  for (const name of names) expect(read(`docs/runbooks/${name}.md`)).toMatch(new RegExp(`^# ${name}\n`));
  const page = read('docs/monitoring.md');
  expect(names.filter((name) => !page.includes(`(runbooks/${name}.md)`))).toEqual([]);
  const { tests } = parse(read('manifests/monitoring/alerts_test.yaml')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts?: object[] }[] }[];
  };
  const raised = tests.flatMap((one) => one.alert_rule_test.filter(({ exp_alerts: raises = [] }) => raises.length > 0));
  const quiet = tests.flatMap((one) => one.alert_rule_test.filter(({ exp_alerts: raises = [] }) => raises.length === 0));
  expect(names.filter((name) => !raised.some(({ alertname }) => alertname === name))).toEqual([]);
  expect(names.filter((name) => !quiet.some(({ alertname }) => alertname === name))).toEqual([]);
});

test('panels have numbers of their own, do not lie on each other, and use variables that there are', () => {
  const { panels, templating } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  const used = [...JSON.stringify(dashboard).matchAll(/\$\{?([a-z_]+)/g)].map(([, name]) => name);
  const known = [...templating.list.map(({ name }) => name), '__rate_interval', '__all'];
  expect(used.filter((name) => name !== undefined && !known.includes(name))).toEqual([]);
});
