/** How each package manager does what cloud-init asks of it: command lines of the shell, to which names are appended. */
interface PackageManager {
  tool: string;
  /** Lines before the command. */
  prelude?: string[];
  update: string;
  upgrade: string;
  install: string;
  /** Between a name and a version. */
  versionSign: string;
}

/** apt waits for its locks by itself; a configuration file that was changed on the host stays as it is. */
const APT_GET =
  'apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io --assume-yes --quiet';

export const APT: PackageManager = {
  tool: 'apt-get',
  prelude: ['export DEBIAN_FRONTEND=noninteractive'],
  update: `${APT_GET} update`,
  upgrade: `${APT_GET} dist-upgrade`,
  install: `${APT_GET} install`,
  versionSign: '=',
};

/** The first that a host has is its own: dnf before yum, which is a link to it. */
export const PACKAGE_MANAGERS: readonly PackageManager[] = [
  APT,
  { tool: 'dnf', update: 'dnf -y makecache', upgrade: 'dnf -y upgrade', install: 'dnf -y install', versionSign: '-' },
  { tool: 'yum', update: 'yum -t -y makecache', upgrade: 'yum -t -y upgrade', install: 'yum -t -y install', versionSign: '-' },
  {
    tool: 'zypper',
    update: 'zypper --non-interactive refresh',
    upgrade: 'zypper --non-interactive update',
    install: 'zypper --non-interactive install --auto-agree-with-licenses',
    versionSign: '-',
  },
  { tool: 'apk', update: 'apk update', upgrade: 'apk upgrade', install: 'apk add', versionSign: '=' },
];
