/** docs/reference/metrics.md, from the registry that the manager serves. */
import { managerMetrics } from '../../operator/metrics.ts';

interface Described {
  name: string;
  type: string;
  help: string;
  labels: readonly string[];
}

/** Every metric but those of Node.js and its process, which prom-client adds by itself. */
export async function metricsOfManager(): Promise<Described[]> {
  const { registry } = managerMetrics({ version: '', now: () => new Date(), waiting: () => 0 });
  const all = await registry.getMetricsAsJSON();
  return all
    .filter(({ name }) => !/^(process|nodejs)_/.test(name))
    .map(({ name, type, help }) => {
      const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] };
      return { name, type: String(type), help, labels: labelNames };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function metricsReference(): Promise<string> {
  const code = (text: string): string => `\`${text}\``;
  const rows = (own: boolean, described: Described[]): string[] =>
    described
      .filter(({ name }) => name.startsWith('capremote_') === own)
      .map(({ name, type, labels, help }) => `| ${code(name)} | ${type} | ${labels.map(code).join(', ')} | ${help} |`);
  const head = '| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n';
  const metrics = await metricsOfManager();
  return `<!-- Written by \`npm run generate\`. Do not edit. -->

# Metrics

Served at \`/metrics\` of \`--diagnostics-address\`; [how to collect them](../monitoring.md#collecting-the-metrics), and the alerts and the dashboard that are made of them. No label has more values than there are namespaces, pools, or words in these tables.

## Machines, pools and SSH

Of several managers each tells what its caches hold, so take the \`max\` of gauges. What is counted (\`_total\`, histograms) is counted by the manager that works, so take the \`sum\` of it.

${head}${rows(true, metrics).join('\n')}

## Controllers, queues and the API server

Names and labels are those of controller-runtime and client-go, so their dashboards and alerts fit; \`workqueue_oldest_item_seconds\` is beside them. \`controller\` and the \`name\` of a queue are \`remotemachine\`, \`pooledremotemachine\` or \`remotecluster\`.

${head}${rows(false, metrics).join('\n')}

Beside them are the usual metrics of a Node.js process (\`process_…\`, \`nodejs_…\`).
`;
}
