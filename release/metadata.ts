/** metadata.yaml: which contract each series of releases keeps, as clusterctl asks before it installs or upgrades. */
import { stringify } from 'yaml';
import { project } from './version.ts';

/** A series stays here as long as its releases can be had. */
const SERIES = [{ major: 0, minor: 1, contract: 'v1beta2' }];

export function metadata(version = project.version): string {
  const [major, minor] = version.split('.').map(Number);
  if (!SERIES.some((series) => series.major === major && series.minor === minor))
    throw new Error(`release/metadata.ts does not know the series of ${version}: add it`);
  return stringify({ apiVersion: 'clusterctl.cluster.x-k8s.io/v1alpha3', kind: 'Metadata', releaseSeries: SERIES });
}
