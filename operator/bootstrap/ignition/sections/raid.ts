import { z } from 'zod';
import { scriptStep } from '../../cloud-config/module.ts';
import { quote } from '../../../ssh/quote.ts';
import { integer, line, lines, path } from '../values.ts';
import type { Section } from './section.ts';

const WITHOUT_SPARES = ['linear', 'raid0', '0', 'stripe'] as const;
const LEVELS = [...WITHOUT_SPARES, 'raid1', '1', 'mirror', 'raid4', '4', 'raid5', '5', 'raid6', '6', 'raid10', '10'] as const;

const array = z
  .strictObject({
    name: line.regex(/^[A-Za-z0-9/][A-Za-z0-9/._:-]*$/, 'is not the name of an array'),
    level: z.enum(LEVELS, { error: 'is not a level of RAID' }),
    devices: z.array(path).min(1, 'is empty'),
    spares: integer.min(0).optional(),
    options: lines.optional(),
  })
  .refine(({ level, spares = 0 }) => spares === 0 || !(WITHOUT_SPARES as readonly string[]).includes(level), {
    message: 'this level has no spares',
    path: ['spares'],
  });

export const raid = z.array(array);
type Raid = z.output<typeof array>;

export const arrays: Section = {
  plan: ({ storage = {} }, { name }) => (storage.raid ?? []).map((one) => scriptStep(name(one, one.name), raidScript(one))),
  checks: ({ storage = {} }) => ((storage.raid ?? []).length === 0 ? [] : ["needs mdadm 'install mdadm'"]),
};

function raidScript({ name, level, devices, spares = 0, options = [] }: Raid): string {
  const node = name.startsWith('/dev') ? name : `/dev/md/${name}`;
  const words = [
    ...['--create', name, '--force', '--run', '--homehost', 'any', '--level', level],
    ...['--raid-devices', String(devices.length - spares)],
    ...(spares > 0 ? ['--spare-devices', String(spares)] : []),
    ...options,
    ...devices,
  ];
  return `set -eu
if [ -b ${quote(node)} ]; then
  echo ${quote(`${node} exists and is not made again`)}
  exit 0
fi
mdadm ${words.map(quote).join(' ')}
if command -v udevadm >/dev/null 2>&1; then
  udevadm settle --exit-if-exists=${quote(node)} || :
fi
`;
}
