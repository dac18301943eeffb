/** Layers over the hosts' image, made once with Debian's own packages. */
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { cached, type Progress, timed } from './cache.ts';
import { must } from './command.ts';
import { hostImage } from './image.ts';
import { unshare } from './process.ts';

export interface Layer {
  name: string;
  /** What a person is told who waits for it. */
  what: string;
  packages: string[];
  /** Script that is run in it once the packages are there. */
  setup: string;
  /** Files of this machine, each at its place there. */
  files?: Record<string, string>;
}

/** Run in the image while the machine's network and its apt settings can be used there. Nothing starts. */
const install = (packages: string[]) => `set -e
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get -q update
apt-get -q -y --no-install-recommends install ${packages.join(' ')}
rm -rf /usr/sbin/policy-rc.d /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
`;

/** Arguments: the image, the folder of the layer, the scripts to install and to set up, and pairs of files. */
const make = `set -e
base=$1 layer=$2 install=$3 setup=$4
shift 4
mkdir "$layer/upper" "$layer/work" "$layer/root"
root=$layer/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$layer/upper,workdir=$layer/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs tmpfs "$root/run"
: >"$root/run/resolv.conf"
mount --bind /etc/resolv.conf "$root/run/resolv.conf"
mount --bind "$root/run/resolv.conf" "$root/etc/resolv.conf"
apt-config dump | grep '^Acquire::Check' >"$root/etc/apt/apt.conf.d/99machine" || :
run() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$root" /bin/sh -c "$1"; }
run "$install"
rm "$root/etc/apt/apt.conf.d/99machine"
while [ $# -gt 0 ]; do
  mkdir -p "$(dirname "$root$1")"
  cp "$2" "$root$1"
  shift 2
done
run "$setup"
umount -l "$root"
rm -rf "$layer/work" "$layer/root"
`;

/** What hosts are started from: layers of an overlay, as mount(8) takes them. */
export async function layerImage({ name, what, packages, setup, files = {} }: Layer, progress: Progress): Promise<string> {
  const base = await hostImage(progress);
  const recipe = [basename(dirname(base)), install(packages), setup, make, ...Object.entries(files).flat()];
  const folder = await cached({ name, version: 'bookworm', recipe }, (making) =>
    timed(progress, what, async () => {
      const layer = join(making, 'layer');
      await mkdir(layer);
      const [command = '', ...args] = unshare;
      const script = ['nice', '-n', '15', 'sh', '-c', make, 'sh', base, layer, install(packages), setup, ...Object.entries(files).flat()];
      await must(command, [...args, ...script]);
    }),
  );
  return `${join(folder, 'layer/upper')}:${base}`;
}
