import { posix } from 'node:path';
import { z } from 'zod';
import type { FileStep, Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag, line, text } from '../values.ts';
import { aptScript, debconfScript, sourceScript } from './apt_scripts.ts';

/** It stands in quotes in a file of apt. */
const url = line.regex(/^[A-Za-z][A-Za-z0-9+.-]*:[^\s"']*$/, 'is not an address').nullable();

const mirror = z.strictObject({
  arches: z.array(z.string().regex(/^[A-Za-z0-9-]+$/, 'is not the name of an architecture, nor default')),
  uri: line.regex(/^[A-Za-z][A-Za-z0-9+.-]*:\S*$/, 'is not an address'),
  key: text.optional(),
});

export type Mirror = z.output<typeof mirror>;

const KEYID = 'fetches a key from a key server, whose answer nobody has looked at; put the key itself into key';
const refused = (message: string) =>
  z.unknown().superRefine((_, context) => {
    context.addIssue({ code: 'custom', message, params: { reason: 'BootstrapKeyUnsupported' } });
  });

const KEY_FILE = /\$\{?KEY_FILE\b/i;

const source = z
  .strictObject({
    source: text.min(1, 'is empty').optional(),
    filename: line.refine((value) => /^[A-Za-z0-9/][A-Za-z0-9/._+-]*$/.test(value), 'is not the name of a file').optional(),
    key: text.optional(),
    append: flag.optional(),
    keyid: refused(KEYID).optional(),
    keyserver: z.unknown().optional(),
  })
  .refine(({ source: given = '', key, keyid }) => (key ?? keyid) !== undefined || !KEY_FILE.test(given), {
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
  plan({ apt: value }) {
    if (value === undefined || value === null) return [];
    const steps: Step[] = [];
    const selections = Object.entries(value.debconf_selections ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    if (selections.length > 0) steps.push(scriptStep('apt.debconf_selections', debconfScript(selections.map(([, one]) => one))));
    if (typeof value.sources_list === 'string' && value.preserve_sources_list !== true) {
      steps.push(scriptStep('apt.sources_list', aptScript(value, value.sources_list)));
    }
    const proxies = PROXIES.flatMap(([key, protocol]) => {
      const address = value[key];
      return typeof address === 'string' && address !== '' ? [`Acquire::${protocol}::Proxy "${address}";\n`] : [];
    });
    if (proxies.length > 0) steps.push(file('apt.proxy', '/etc/apt/apt.conf.d/90cluster-api-proxy', proxies.join('')));
    if (typeof value.conf === 'string' && value.conf !== '')
      steps.push(file('apt.conf', '/etc/apt/apt.conf.d/94cluster-api-config', value.conf));
    // cloud-init sorts the names of maps before it goes through them.
    const sources = Object.entries(value.sources ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, one] of sources) steps.push(scriptStep(`apt.sources ${name}`, sourceScript(value, one, pathOf(name, one))));
    return steps;
  },
});

const file = (name: string, path: string, content: string): FileStep => ({
  kind: 'file',
  name,
  path,
  content: Buffer.from(content),
  mode: 0o644,
  append: false,
});

function pathOf(name: string, { filename = name }: Source): string {
  const path = posix.resolve('/etc/apt/sources.list.d', filename);
  return path.endsWith('.list') ? path : `${path}.list`;
}
