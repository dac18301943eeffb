import { distributionOf } from './distribution.ts';

/** As get_linux_distro and _get_variant of cloud-init 22.4 say of such files. */
test.each([
  [{ ID: 'debian', VERSION_ID: '12', VERSION_CODENAME: 'bookworm' }, ['debian', '12', 'bookworm', 'debian']],
  [
    { ID: 'ubuntu', VERSION_ID: '22.04', VERSION_CODENAME: 'jammy', VERSION: '22.04.3 LTS (Jammy)' },
    ['ubuntu', '22.04', 'jammy', 'ubuntu'],
  ],
  [{ ID: 'linuxmint', VERSION_ID: '21' }, ['linuxmint', '21', '', 'ubuntu']],
  [{ ID: 'rhel', VERSION_ID: '9.2', VERSION: '9.2 (Plow)' }, ['redhat', '9.2', 'Plow', 'rhel']],
  [{ ID: 'rocky', VERSION_ID: '9.2', VERSION: '9.2 (Blue Onyx)' }, ['rocky', '9.2', 'Blue Onyx', 'rocky']],
  [{ ID: 'opensuse-leap', VERSION_ID: '15.5', VERSION: '15.5' }, ['opensuse-leap', '15.5', 'x86_64', 'suse']],
  [{ ID: 'sles', VERSION_ID: '15.5', VERSION_CODENAME: 'x' }, ['sles', '15.5', 'x86_64', 'suse']],
  [{ ID: 'photon', VERSION_ID: '4.0', PRETTY_NAME: 'VMware Photon OS/Linux' }, ['photon', '4.0', 'VMware Photon OS/Linux', 'photon']],
  [{ ID: 'alpine', VERSION_ID: '3.19.1' }, ['alpine', '3.19.1', '', 'alpine']],
  [{ ID: 'nixos' }, ['nixos', '', '', 'linux']],
  [{}, ['', '', '', 'linux']],
])('%j', (release, expected) => {
  const { distro, distro_version, distro_release, variant } = distributionOf({ release, architecture: 'x86_64' });
  expect([distro, distro_version, distro_release, variant]).toEqual(expected);
});
