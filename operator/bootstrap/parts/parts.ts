import { isUtf8 } from 'node:buffer';
import { parseYaml } from '../cloud-config/parse.ts';
import { type Budget, decode, formatUnsupported } from '../format.ts';
import { BootstrapDataError, type Finding, type InstanceData } from '../plan.ts';
import { renderTemplate } from '../template/template.ts';
import { isMIME, leavesOf } from './mime.ts';
import { requireInterpreter } from './scripts.ts';
import { type Kind, supported, type Type, typeByBeginning, typeOf } from './types.ts';

/** One document of the bootstrap data, rendered if it is a template. */
export interface Part {
  kind: Kind;
  /** Its file name, of characters that cloud-init leaves in one, or `part-001`; '' where it is all of the data. */
  name: string;
  text: string;
  /** How it is merged with those before it, if its headers say so. */
  mergeType: string;
  findings: Finding[];
}

/** A part as it stands in the data. */
interface Source {
  name: string;
  text: string;
  type: Type | undefined;
  mergeType: string;
}

/** Types of parts that are decompressed first (cloud-init's user_data.py). */
const COMPRESSED = /^application\/(?:x-)?(?:gzip|gunzip|gzipped|gzip-compressed|compress|compressed)$/;
const UNNAMED = '';

/**
 * The documents that the data consists of: one, or those of a MIME multi-part document or a #cloud-config-archive, in their order.
 * @throws BootstrapDataError that names the part
 */
export function partsOf(text: string, instance: InstanceData, budget: Budget): Part[] {
  if (isMIME(text)) return mimeParts(text, budget).flatMap((source) => naming(source.name, () => documents(source, instance)));
  const type = typeByBeginning(text);
  return documents({ name: UNNAMED, text, type: type ?? 'cloud-config', mergeType: '' }, instance).map((part) =>
    type === undefined ? { ...part, findings: [headerMissing, ...part.findings] } : part,
  );
}

export const headerMissing: Finding = {
  reason: 'HeaderMissing',
  path: '',
  line: 1,
  message: 'the data does not begin with #cloud-config; it is taken as cloud-config, cloud-init itself would pass over it',
};

/** cloud-init's clean_filename. */
const named = (filename: string, number: string): string =>
  filename
    .replaceAll('/', '_')
    .replaceAll(/[^\w.()-]/g, '')
    .slice(0, 64) || number;
const numbered = (index: number): string => `part-${String(index + 1).padStart(3, '0')}`;

function mimeParts(text: string, budget: Budget): Source[] {
  return leavesOf(text).flatMap(({ type, charset, filename, headers, content }, index) => {
    const name = named(filename ?? '', numbered(index));
    const isCompressed = COMPRESSED.test(type);
    return naming(name, () => {
      const decoded = asText(isCompressed ? budget.decompress(content) : content, charset.toLowerCase());
      if (decoded.trim() === '') return [];
      const mergeType = headers.get('merge-type') ?? headers.get('x-merge-type') ?? '';
      return [{ name, text: decoded, type: typeOf(isCompressed ? 'text/plain' : type, decoded), mergeType }];
    });
  });
}

/** As UTF-8, which cloud-init takes every part for, whatever its header says; else in the character set that it names. */
function asText(bytes: Uint8Array, charset: string): string {
  return decode(bytes, isUtf8(bytes) ? 'utf-8' : charset);
}

function documents(source: Source, instance: InstanceData): Part[] {
  if (source.type === undefined) throw formatUnsupported('it has a type that cloud-init does not know, and would be passed over by it');
  const type = supported(source.type);
  if (type === 'archive') return archived(source).flatMap((entry) => naming(entry.name, () => documents(entry, instance)));
  const part = type === 'template' ? rendered(source, instance) : { ...source, kind: type, findings: [] };
  requireInterpreter(part);
  return [part];
}

/** What the template is shows when it is rendered, as in cloud-init. */
function rendered(source: Source, instance: InstanceData): Part {
  const header = /^\s*##\s*template:([^\n]*)(?:\n|$)/i.exec(source.text);
  if (header?.[1]?.trim().toLowerCase() !== 'jinja') {
    throw formatUnsupported('the first line names a template language other than jinja; only `## template: jinja` is understood');
  }
  const { text, findings } = renderTemplate(source.text.slice(header[0].length), instance);
  const type = text.trim() === '' ? 'cloud-config' : typeByBeginning(text);
  if (type === undefined) {
    throw formatUnsupported('what a template gives begins neither with #cloud-config nor with #!, and cloud-init would pass over it');
  }
  const kind = supported(type);
  if (kind === 'template' || kind === 'archive')
    throw formatUnsupported('a template makes another one, or an archive, which is not supported');
  // An empty line stands for the template's header, so that lines are counted as in the data.
  return { ...source, kind, text: kind === 'cloud-config' ? `\n${text}` : text, findings };
}

/** `#cloud-config-archive`: a list of texts, or of maps with content, type and filename. */
function archived({ name: outer, text }: Source): Source[] {
  const list = parseYaml(text, outer).root?.value;
  if (!Array.isArray(list)) throw invalidArchive('is no list');
  return list.flatMap((entry: unknown, index) => {
    const { content, type, filename, ...headers } = entryOf(entry, index);
    const number = outer === UNNAMED ? numbered(index) : `${outer}.${numbered(index)}`;
    const name = named(typeof filename === 'string' ? filename : '', number);
    const whole = content instanceof Uint8Array ? decode(content) : content;
    if (typeof whole !== 'string') throw invalidArchive(`has an entry whose content is no text: ${number}`);
    if (whole.trim() === '') return [];
    const merge = Object.entries(headers).find(([header]) => /^(?:x-)?merge-type$/i.test(header))?.[1];
    const known = typeof type === 'string' && type !== '' ? typeOf(type.toLowerCase(), whole) : (typeByBeginning(whole) ?? 'cloud-config');
    return [{ name, text: whole, type: known, mergeType: typeof merge === 'string' ? merge : '' }];
  });
}

function entryOf(entry: unknown, index: number): Record<string, unknown> {
  if (typeof entry === 'string') return { content: entry };
  if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) return entry as Record<string, unknown>;
  throw invalidArchive(`has an entry that is neither a text nor a map: ${numbered(index)}`);
}

const invalidArchive = (what: string) => new BootstrapDataError('BootstrapDataInvalid', `the #cloud-config-archive document ${what}`);

/** Says in errors which part they are about. */
export function naming<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof BootstrapDataError) || name === UNNAMED) throw error;
    throw new BootstrapDataError(error.reason, `${name}: ${error.message}`, error.findings, error.cause);
  }
}
