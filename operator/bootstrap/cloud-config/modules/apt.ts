import { z } from 'zod';
import type { FileStep, Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import type { Path } from '../path.ts';
import { entriesByName, flag, line, text } from '../values.ts';
import { hasKey, isForgeable, keyFields, toolsScript, type Keyed } from './apt_keys.ts';
import { aptScript, debconfScript, sourceScript } from './apt_scripts.ts';

/** It stands in quotes in a file of apt. */
const url = line.regex(/^[A-Za-z][A-Za-z0-9+.-]*:[^\s"']*$/, 'is not an address').nullable();

const mirror = z.strictObject({
  arches: z.array(z.string().regex(/^[A-Za-z0-9-]+$/, 'is not the name of an architecture, nor default')),
  uri: line.regex(/^[A-Za-z][A-Za-z0-9+.-]*:\S*$/, 'is not an address'),
  ...keyFields,
});

export type Mirror = z.output<typeof mirror>;

const KEY_FILE = /\$\{?KEY_FILE\b/i;

const source = z
  .strictObject({
    source: text.min(1, 'is empty').optional(),
    filename: line.refine((value) => /^[A-Za-z0-9/][A-Za-z0-9/._+-]*$/.test(value), 'is not the name of a file').optional(),
    append: flag.optional(),
    ...keyFields,
  })
  .refine((one) => hasKey(one) || !KEY_FILE.test(one.source ?? ''), {
    message: 'names $KEY_FILE, and has no key',
    path: ['source'],
  });

/** As newer versions of cloud-init tell it from the other format; 22.4 knows only that one. */
const isDeb822 = (list: string) => !/^deb(?:-src)? /m.test(list) && /^(?:Types|Suites|Components|URIs): /m.test(list);
const sourcesList = text
  .refine(
    (list) => !isDeb822(list),
    'is in the format of files *.sources, which sources.list cannot hold; write such a file with write_files',
  )
  .refine((list) => !KEY_FILE.test(list), 'names $KEY_FILE, which only an entry of sources with a key has');

export type Source = z.output<typeof source>;

const MIRROR_OF_NOTHING =
  'needs sources_list: the list that cloud-init would write for it comes from a file of cloud-init; where only sources name it, set preserve_sources_list to true';

const settings = z
  .strictObject({
    preserve_sources_list: flag.optional(),
    sources_list: sourcesList.nullable().optional(),
    disable_suites: z.array(line).nullable().optional(),
    primary: z.array(mirror).nullable().optional(),
    security: z.array(mirror).nullable().optional(),
    sources: z.record(line, source).nullable().optional(),
    debconf_selections: z.record(z.string(), text).nullable().optional(),
    conf: text.nullable().optional(),
    proxy: url.optional(),
    http_proxy: url.optional(),
    ftp_proxy: url.optional(),
    https_proxy: url.optional(),
  })
  .refine(({ preserve_sources_list: kept, sources_list: list }) => kept !== false || typeof list === 'string', {
    message: 'false needs sources_list: the list that cloud-init would write comes from a file of cloud-init',
    path: ['preserve_sources_list'],
  })
  .refine(({ disable_suites: suites, sources_list: list }) => (suites ?? []).length === 0 || typeof list === 'string', {
    message: 'needs sources_list',
    path: ['disable_suites'],
  })
  .refine(({ sources_list: list }) => typeof list !== 'string' || !/^##\s*template:(?!\s*basic\b)/i.test(list), {
    message: 'is a template of its own, which is not rendered here; name release and mirrors as $RELEASE, $MIRROR and $SECURITY',
    path: ['sources_list'],
  })
  .superRefine(({ preserve_sources_list: kept, sources_list: list, primary, security }, context) => {
    if (kept === true || typeof list === 'string') return;
    for (const [key, mirrors] of Object.entries({ primary, security })) {
      if ((mirrors ?? []).length > 0) context.addIssue({ code: 'custom', path: [key], message: MIRROR_OF_NOTHING });
    }
  })
  .nullable();

export type Apt = NonNullable<z.output<typeof settings>>;

const PROXIES: [key: 'proxy' | 'http_proxy' | 'ftp_proxy' | 'https_proxy', protocol: string][] = [
  ['proxy', 'http'],
  ['http_proxy', 'http'],
  ['ftp_proxy', 'ftp'],
  ['https_proxy', 'https'],
];

/** Where apt gets packages from, and how (cloud-init's apt_configure). */
export const apt = defineModule({
  keys: { apt: settings },
  plan({ apt: value }, { note }) {
    if (value === undefined || value === null) return [];
    const steps: Step[] = [];
    const selections = entriesByName(value.debconf_selections);
    if (selections.length > 0) steps.push(scriptStep('apt.debconf_selections', debconfScript(selections.map(([, one]) => one))));
    const list = value.preserve_sources_list === true ? undefined : (value.sources_list ?? undefined);
    const sources = entriesByName(value.sources);
    const keyed = keyedOf(value, list !== undefined);
    for (const [path, one] of keyed) if (isForgeable(one)) note('KeyIDShort', [...path, 'keyid'], SHORT);
    const tools = toolsScript(keyed.map(([, one]) => one));
    if (tools !== undefined) steps.push(scriptStep('apt.gnupg', tools));
    if (list !== undefined) steps.push(scriptStep('apt.sources_list', aptScript(value, list)));
    const proxies = PROXIES.flatMap(([key, protocol]) => {
      const address = value[key];
      return typeof address === 'string' && address !== '' ? [`Acquire::${protocol}::Proxy "${address}";\n`] : [];
    });
    if (proxies.length > 0) steps.push(file('apt.proxy', '/etc/apt/apt.conf.d/90cluster-api-proxy', proxies.join('')));
    if (typeof value.conf === 'string' && value.conf !== '')
      steps.push(file('apt.conf', '/etc/apt/apt.conf.d/94cluster-api-config', value.conf));
    for (const [name, one] of sources) steps.push(scriptStep(`apt.sources ${name}`, sourceScript(value, name, one)));
    return steps;
  },
});

/** What may bring a key, with its place in the document. */
function keyedOf(apt: Apt, withMirrors: boolean): [path: Path, Keyed][] {
  const mirrors = (['primary', 'security'] as const).flatMap((key) =>
    (apt[key] ?? []).map((one, index): [Path, Keyed] => [['apt', key, index], one]),
  );
  const sources = Object.entries(apt.sources ?? {}).map(([name, one]): [Path, Keyed] => [['apt', 'sources', name], one]);
  return [...(withMirrors ? mirrors : []), ...sources];
}

const SHORT = 'names the key by eight digits, and anyone can make another key with the same; write its whole fingerprint';

const file = (name: string, path: string, content: string): FileStep => ({
  kind: 'file',
  name,
  path,
  content: Buffer.from(content),
  mode: 0o644,
  append: false,
});
