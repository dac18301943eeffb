/**
 * The hosts' image with the real cloud-init on it, for the suite that holds the operator against it: a layer over the image, made once
 * by Debian's own packages. Beside cloud-init it has what documents of the corpus install and call.
 */
import type { Progress } from './cache.ts';
import { layerImage } from './layer.ts';

/** What a host here has in the place of a cloud, and none of the defaults that an image's own configuration would add. */
const configuration = `datasource_list: [NoCloud]
network: {config: disabled}
users: []
disable_root: false
ssh_deletekeys: false
ssh_genkeytypes: []
apt: {preserve_sources_list: true}
locale: false
growpart: {mode: 'off'}
resize_rootfs: false
no_ssh_fingerprints: true
grub_dpkg: {enabled: false}
unverified_modules: [yum-add-repo, snap]
cloud_config_modules: [snap, ssh-import-id, locale, set-passwords, apt-pipelining, apt-configure, yum-add-repo, ntp, timezone, runcmd]
`;

/** Packages of the host's own archive: a command that says its name, and a time client that does nothing. */
const archive = `set -e
build() { # NAME VERSION FILE
  mkdir -p "/tmp/$1/DEBIAN" "/tmp/$1$(dirname "$3")" /srv/repo
  printf '#!/bin/sh\\necho "%s $*"\\n' "$1" >"/tmp/$1$3"
  chmod 0755 "/tmp/$1$3"
  if [ "$1" = chrony ]; then
    mkdir -p "/tmp/$1/etc/chrony" "/tmp/$1/etc/init.d"
    printf 'pool 2.debian.pool.ntp.org iburst\\ndriftfile /var/lib/chrony/drift\\n' >"/tmp/$1/etc/chrony/chrony.conf"
    printf '#!/bin/sh\\nexit 0\\n' >"/tmp/$1/etc/init.d/chrony"
    chmod 0755 "/tmp/$1/etc/init.d/chrony"
    echo /etc/chrony/chrony.conf >"/tmp/$1/DEBIAN/conffiles"
  fi
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: nobody <nobody@example.org>\\nDescription: %s\\n' "$1" "$2" "$1" >"/tmp/$1/DEBIAN/control"
  deb="/srv/repo/$1_$2.deb"
  dpkg-deb --build --root-owner-group "/tmp/$1" "$deb" >/dev/null
  { cat "/tmp/$1/DEBIAN/control"; printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$(basename "$deb")" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"; } >>/srv/repo/Packages
  rm -rf "/tmp/$1"
}
build witness-a 1.0-1 /usr/bin/witness-a
build witness-b 1.0-1 /usr/bin/witness-b
build chrony 4.3-1 /usr/sbin/chronyd
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list
printf '#!/bin/sh\\necho "snap $*" >>/var/log/witness\\n' >/usr/local/bin/snap
chmod 0755 /usr/local/bin/snap
`;

const setup = `${archive}rm -rf /var/lib/cloud
cat >/etc/cloud/cloud.cfg.d/99-oracle.cfg <<'END'
${configuration}END
`;

/** What hosts with cloud-init are started from: layers of an overlay, as mount(8) takes them. */
export const cloudInitImage = (progress: Progress): Promise<string> =>
  layerImage(
    {
      name: 'cloud-init-image',
      what: 'install cloud-init over the disk image of the hosts (apt)',
      packages: ['cloud-init', 'gnupg', 'locales', 'fdisk', 'gdisk', 'xfsprogs', 'btrfs-progs', 'dosfstools'],
      setup,
    },
    progress,
  );
