import { z } from 'zod';
import type { FileStep, Step } from '../../plan.ts';
import { scriptStep } from '../../cloud-config/module.ts';
import { flag, text } from '../values.ts';
import type { Section } from './section.ts';
import { misread } from './unit.ts';
import { applyScript, maskScript, prepareScript, startScript, unmaskScript } from './systemd_scripts.ts';

const UNITS = '/etc/systemd/system';
const TYPES = 'service|socket|device|mount|automount|swap|target|path|timer|snapshot|slice|scope';

const contents = text.superRefine((value, context) => {
  const message = misread(value);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});
const dropin = z.strictObject({
  name: z.string().regex(/^[^/\s]+\.conf$/, 'is not the name of a drop-in, which ends in .conf'),
  contents: contents.optional(),
});
export const unitFields = {
  name: z.string().regex(new RegExp(`^[A-Za-z0-9:_.\\\\@-]+\\.(?:${TYPES})$`), 'is not the name of a unit'),
  contents: contents.optional(),
  dropins: z.array(dropin).optional(),
  enabled: flag.optional(),
  mask: flag.optional(),
};

const unit = z.strictObject(unitFields).refine(({ name, enabled }) => enabled === undefined || !/@\./.test(name), {
  message: 'a template is not enabled or disabled by itself; name an instance of it',
  path: ['enabled'],
});

export const systemd = z.strictObject({ units: z.array(unit).optional() });
export type Unit = z.output<typeof unit>;

/**
 * Unit files as they are at the first boot, and then on a running host what that boot would do: units that are enabled are started,
 * anew where their files came with the document; those that are masked or disabled are stopped.
 */
export const units: Section = {
  plan({ systemd: { units: list = [] } = {} }, { name }) {
    if (list.length === 0) return [];
    const files = list.flatMap((one) => filesOf(one, name(one, one.name)));
    const masks = list.flatMap((one): Step[] => {
      if (one.mask === undefined) return [];
      const path = `${UNITS}/${one.name}`;
      return [scriptStep(`${name(one, one.name)} mask`, one.mask ? maskScript(path) : unmaskScript(path))];
    });
    const enabled = namesOf(list, ({ enabled: yes, mask }) => yes === true && mask !== true);
    const steps: Step[] = [
      ...(files.length === 0 ? [] : [scriptStep('systemd.units room', prepareScript(files.map(({ path }) => path)))]),
      ...files,
      ...masks,
      ...presets(list),
      scriptStep('systemd.units', applyScript({ enabled, ...changesOf(list) })),
    ];
    if (enabled.length > 0) steps.push(scriptStep(`systemd.units ${enabled.join(', ')}`, startScript(enabled, freshOf(list))));
    return steps;
  },
  checks: ({ systemd: { units: list = [] } = {} }) =>
    list.some(({ enabled }) => enabled === true)
      ? ['[ -d /run/systemd/system ] || fail "this host is not run by systemd, which is to start units of the document"']
      : [],
};

const namesOf = (list: Unit[], which: (one: Unit) => boolean): string[] => [...new Set(list.filter(which).map((one) => one.name))];
const hasFiles = ({ contents, dropins = [] }: Unit): boolean =>
  (contents ?? '') !== '' || dropins.some((one) => one.contents !== undefined);

/** Units whose files come with the document: what runs of them does not know these yet. */
const freshOf = (list: Unit[]): string[] => namesOf(list, hasFiles);

function changesOf(list: Unit[]): { disabled: string[]; stopped: string[]; changed: string[] } {
  const started = new Set(namesOf(list, ({ enabled }) => enabled === true));
  const stopped = namesOf(list, ({ mask, enabled }) => mask === true || enabled === false);
  /** Of a template every instance. */
  const running = (list: string[]) => list.map((one) => one.replace('@.', '@*.'));
  return {
    disabled: namesOf(list, ({ enabled }) => enabled === false),
    stopped: running(stopped),
    changed: running(freshOf(list).filter((one) => !started.has(one) && !stopped.includes(one))),
  };
}

/** As in Ignition a unit without contents is one that is there already, and an empty drop-in is written. */
function filesOf({ name: unitName, contents = '', dropins = [] }: Unit, name: string): FileStep[] {
  const file = (path: string, content: string): FileStep => ({
    kind: 'file',
    name: `${name} ${path}`,
    path,
    content: Buffer.from(content),
    mode: 0o644,
    append: false,
  });
  return [
    ...dropins.flatMap((one) => (one.contents === undefined ? [] : [file(`${UNITS}/${unitName}.d/${one.name}`, one.contents)])),
    ...(contents === '' ? [] : [file(`${UNITS}/${unitName}`, contents)]),
  ];
}

/** What says to the next `preset-all` which units are enabled; instances of a template share a line. */
function presets(list: Unit[]): Step[] {
  const words = new Map<string, string[]>();
  for (const name of namesOf(list, ({ enabled }) => enabled === true)) {
    const [, prefix = '', instance = '', type = ''] = /^([^@]*@)(.*)(\.[a-z]+)$/.exec(name) ?? [];
    if (prefix === '') words.set(name, []);
    else words.set(`${prefix}${type}`, [...(words.get(`${prefix}${type}`) ?? []), instance]);
  }
  if (words.size === 0) return [];
  const content = [...words]
    .map(([name, instances]) => `${['enable', name, ...instances].join(' ')}\n`)
    .toSorted()
    .join('');
  const path = '/etc/systemd/system-preset/20-ignition.preset';
  const keep = { mode: true, owner: true };
  return [{ kind: 'file', name: 'systemd.units presets', path, content: Buffer.from(content), mode: 0o644, append: true, keep }];
}
