/** What cloud-init calls the host's distribution (get_linux_distro and _get_variant of its util.py). */
import type { HostSystem } from '../plan.ts';

/** Distributions whose variant has their name. */
const VARIANTS = new Set(
  (
    'almalinux alpine arch centos cloudlinux debian eurolinux fedora mariner miraclelinux openeuler openmandriva photon rhel rocky ' +
    'suse virtuozzo ubuntu'
  ).split(' '),
);
const VARIANT_OF = new Map<string, string>([
  ...['linuxmint', 'mint'].map((name) => [name, 'ubuntu'] as const),
  ...['opensuse', 'opensuse-tumbleweed', 'opensuse-leap', 'sles', 'sle_hpc'].map((name) => [name, 'suse'] as const),
  ['redhat', 'rhel'],
]);

export function distributionOf({ release, architecture }: Pick<HostSystem, 'release' | 'architecture'>) {
  const { ID: id = '', VERSION_ID: version = '' } = release;
  const distro = id === 'rhel' ? 'redhat' : id;
  const name = distro.toLowerCase();
  const variant = VARIANTS.has(name) ? name : (VARIANT_OF.get(name) ?? 'linux');
  return { distro, distro_version: version, distro_release: codename(id, release, architecture), variant };
}

function codename(id: string, { VERSION_CODENAME = '', VERSION = '', PRETTY_NAME = '' }: HostSystem['release'], machine: string): string {
  if (id.includes('sles') || id.includes('suse')) return machine;
  if (id === 'photon' || id === 'virtuozzo') return PRETTY_NAME;
  return VERSION_CODENAME || (/^[^ ]+ \(([^)]+)\)/.exec(VERSION)?.[1] ?? '');
}
