/** Control groups for a full host, whose systemd manages a tree of its own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { record, type Run } from './run.ts';

/**
 * Makes a group named `name` below this process's own, in each version 1 hierarchy, or in the only one of version 2.
 * @returns their folders, and whether they are of version 1.
 */
export function createCgroups(run: Run, name: string): { folders: string[]; version1: boolean } {
  const places = cgroupPlaces(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'));
  const version1 = places.some((place) => place.version === 1);
  const folders = places.filter((place) => place.version === (version1 ? 1 : 2)).map((place) => join(place.path, name));
  for (const folder of folders) {
    record(run, { kind: 'cgroup', path: folder });
    mkdirSync(folder, { recursive: true });
    // A new cpuset of version 1 allows nothing until it is told.
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (version1 && existsSync(join(folder, file))) writeFileSync(join(folder, file), readFileSync(join(folder, '..', file)));
  }
  return { folders, version1 };
}

/** Notes the groups that a container runtime makes for `/<name>` at the top of each hierarchy, so that none is left behind. */
export function recordCgroups(run: Run, name: string): void {
  const top = readFileSync('/proc/self/cgroup', 'utf8').replaceAll(/:[^:\n]*$/gm, ':/');
  for (const { path } of cgroupPlaces(readFileSync('/proc/self/mountinfo', 'utf8'), top))
    record(run, { kind: 'cgroup', path: join(path, name) });
}

interface Place {
  version: 1 | 2;
  path: string;
}

/** Where this process stands in each hierarchy, from proc(5)'s mountinfo and cgroup files. */
export function cgroupPlaces(mountinfo: string, cgroup: string): Place[] {
  const own = cgroup
    .trim()
    .split('\n')
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .flatMap((match) => (match === null ? [] : [{ controllers: match[1] ?? '', path: match[2] ?? '/' }]));
  return mountinfo
    .trim()
    .split('\n')
    .flatMap((line): Place[] => {
      const [before = '', after = ''] = line.split(' - ');
      const mountPoint = before.split(' ')[4] ?? '';
      const [type = '', , options = ''] = after.split(' ');
      if (type === 'cgroup2')
        return own.filter(({ controllers }) => controllers === '').map(({ path }) => ({ version: 2, path: join(mountPoint, path) }));
      if (type !== 'cgroup') return [];
      const here = own.find(
        ({ controllers }) => controllers !== '' && controllers.split(',').every((name) => options.split(',').includes(name)),
      );
      return here === undefined ? [] : [{ version: 1, path: join(mountPoint, here.path) }];
    });
}
