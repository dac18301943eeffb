import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { Float } from '../scalars.ts';
import { flag, listOf } from '../values.ts';
import { PACKAGE_MANAGERS } from './package_managers.ts';

/** Also `name=version`, `name=1.31.*`, `name/suite` and paths, as package managers take them; never an option. */
const name = z.string().regex(/^[A-Za-z0-9@/(][A-Za-z0-9@:=~^+./_() *?-]*$/, 'is not the name of a package');
const version = z.union([z.string(), z.number().transform(String), z.instanceof(Float).transform(String), z.null()]).pipe(
  z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9.:~^+_*?-]*$/, 'is not a version')
    .nullable(),
);

interface Package {
  name: string;
  version?: string | undefined;
}

const wanted = z
  .union([name, z.tuple([name]), z.tuple([name, version])], { error: 'expected the name of a package, or [name, version]' })
  .transform((value): Package => (typeof value === 'string' ? { name: value } : { name: value[0], version: value[1] ?? undefined }));

/** Packages, at the end of the host's set-up and before its commands (cloud-init's package_update_upgrade_install). */
export const packages = defineModule({
  keys: {
    packages: listOf(wanted),
    package_update: flag,
    package_upgrade: flag,
    package_reboot_if_required: flag,
    apt_update: flag,
    apt_upgrade: flag,
    apt_reboot_if_required: flag,
  },
  plan(values) {
    const list = values.packages ?? [];
    const upgrade = values.package_upgrade === true || values.apt_upgrade === true;
    const update = values.package_update === true || values.apt_update === true || upgrade || list.length > 0;
    const steps: Step[] = [];
    if (update) steps.push(scriptStep('package_update', script('update', [])));
    if (upgrade) steps.push(scriptStep('package_upgrade', script('upgrade', [])));
    if (list.length > 0) steps.push(scriptStep('packages', script('install', list)));
    return steps;
  },
});

/** By the package manager that the host has. */
function script(action: 'update' | 'upgrade' | 'install', list: Package[]): string {
  const branches = PACKAGE_MANAGERS.map((manager, index) => {
    const words = list.map((one) => quote(one.version === undefined ? one.name : one.name + manager.versionSign + one.version));
    const lines = [...(manager.prelude ?? []), [manager[action], ...words].join(' ')];
    return `${index === 0 ? 'if' : 'elif'} command -v ${manager.tool} >/dev/null 2>&1; then\n${lines.map((line) => `  ${line}\n`).join('')}`;
  });
  const names = PACKAGE_MANAGERS.map(({ tool }) => tool).join(', ');
  return `set -eu\n${branches.join('')}else\n  echo "this host has none of the package managers ${names}" >&2\n  exit 127\nfi\n`;
}

/** Asks for a reboot at the end of the run where the packages need one. */
export const rebootIfRequired = defineModule({
  keys: {
    packages: listOf(wanted),
    package_upgrade: flag,
    package_reboot_if_required: flag,
    apt_upgrade: flag,
    apt_reboot_if_required: flag,
  },
  plan(values, { note }) {
    const asked = values.package_reboot_if_required === true || values.apt_reboot_if_required === true;
    const changes = values.package_upgrade === true || values.apt_upgrade === true || (values.packages ?? []).length > 0;
    if (!asked || !changes) return [];
    const key = values.package_reboot_if_required === true ? 'package_reboot_if_required' : 'apt_reboot_if_required';
    note('RebootsAtTheEnd', [key], 'cloud-init reboots before the commands of runcmd; here the host reboots once, when all has run');
    const condition = '[ -f /run/reboot-required ] || [ -f /var/run/reboot-required ]\n';
    return [{ kind: 'power', name: key, mode: 'reboot', delay: 0, condition }];
  },
});
