/** The hosts' image with the real Ignition on it, for the suite that holds the operator against it: Debian's own, a newer one and the last one of 2.x. */
import { type Progress } from './cache.ts';
import { findPrograms } from './binaries.ts';
import { layerImage } from './layer.ts';

/** Each knows the versions of documents up to the next. */
export const IGNITIONS = {
  debian: '/usr/lib/dracut/modules.d/30ignition/ignition',
  newer: '/usr/local/lib/ignition',
  old: '/usr/local/lib/ignition-v0',
};

/** The old one looks for a tool where Debian does not have it. */
const setup = `set -e
ln -s /usr/sbin/chroot /usr/bin/chroot
chmod 0755 ${IGNITIONS.newer} ${IGNITIONS.old}
`;

/** What hosts with Ignition are started from: layers of an overlay, as mount(8) takes them. */
export async function ignitionImage(progress: Progress): Promise<string> {
  const { ignition, 'ignition-v0': old } = await findPrograms(['ignition', 'ignition-v0'], progress);
  return layerImage(
    {
      name: 'ignition-image',
      what: 'install Ignition over the disk image of the hosts (apt)',
      packages: ['ignition', 'gdisk', 'dosfstools', 'xfsprogs', 'btrfs-progs'],
      setup,
      files: { [IGNITIONS.newer]: ignition, [IGNITIONS.old]: old },
    },
    progress,
  );
}
