/** Prometheus and promtool as Debian packages them, without being installed: the two programs of the package, kept in the cache. */
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cached, type Progress, timed } from './cache.ts';
import { must } from './command.ts';
import { freePorts } from './ports.ts';
import { type ManagedProcess, startProcess, untilReady } from './process.ts';
import type { Run } from './run.ts';

const PACKAGE = 'prometheus';

/** Paths of the programs. */
export async function prometheusPrograms(progress: Progress = () => undefined): Promise<{ prometheus: string; promtool: string }> {
  const folder = await cached({ name: PACKAGE, version: 'debian', recipe: ['1', process.arch] }, (making) =>
    timed(progress, 'fetch Prometheus (apt)', async () => {
      // The folder need not be one that the user _apt may write to.
      const apt = (...args: string[]) => must('apt-get', ['-o', 'APT::Sandbox::User=root', ...args], { cwd: making });
      await apt('download', PACKAGE).catch(async () => {
        // The package lists may be old or absent.
        await apt('update');
        await apt('download', PACKAGE);
      });
      const deb = (await readdir(making)).find((name) => name.endsWith('.deb')) ?? '';
      await must('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x ./usr/bin', 'sh', deb], { cwd: making });
      for (const program of ['prometheus', 'promtool']) await rename(join(making, 'usr/bin', program), join(making, program));
      await must('rm', ['-r', 'usr', deb], { cwd: making });
    }),
  );
  return { prometheus: join(folder, 'prometheus'), promtool: join(folder, 'promtool') };
}

/** A series, or a result of a query. */
export interface Sample {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

export interface Prometheus {
  process: ManagedProcess;
  query(expr: string): Promise<Sample[]>;
  /** Asks until `predicate` holds; data comes with the next scrape, and nothing tells of it. */
  until(expr: string, predicate: (samples: Sample[]) => boolean): Promise<Sample[]>;
  /** What it knows of rules or targets. */
  get<T>(path: string): Promise<T>;
}

/** @param config as in prometheus.yml; the file and its data are in `folder`. */
export async function startPrometheus(run: Run, folder: string, config: string): Promise<Prometheus> {
  const { prometheus } = await prometheusPrograms();
  const [port = 0] = await freePorts(1);
  const started = startProcess(run, {
    name: 'Prometheus',
    command: prometheus,
    args: [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`],
    log: join(folder, 'prometheus.log'),
  });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(started, async () => (await fetch(`${url}/-/ready`)).ok);
  const get = async <T>(path: string): Promise<T> => {
    const { status, data, error } = (await (await fetch(`${url}/api/v1/${path}`)).json()) as { status: string; data: T; error?: string };
    if (status !== 'success') throw new Error(`Prometheus: ${path}: ${error ?? status}`);
    return data;
  };
  const query = async (expr: string): Promise<Sample[]> =>
    (await get<{ result: Sample[] }>(`query?${new URLSearchParams({ query: expr }).toString()}`)).result;
  const until = async (expr: string, predicate: (samples: Sample[]) => boolean): Promise<Sample[]> => {
    const end = performance.now() + 30_000;
    for (;;) {
      const samples = await query(expr);
      if (predicate(samples)) return samples;
      if (performance.now() > end) throw new Error(`${expr} is not as expected after 30 s: ${JSON.stringify(samples)}`);
      await sleep(200);
    }
  };
  return { process: started, query, until, get };
}
