import type { z } from 'zod';
import { problemsOf, located } from '../../problems.ts';
import type { Path } from '../../cloud-config/path.ts';
import type { BootstrapDataErrorReason } from '../../plan.ts';
import { MAX_DOCUMENT_BYTES } from '../../format.ts';
import { type Config, config } from '../config.ts';
import { contentOf, type Resource, Unreadable } from '../sections/resource.ts';
import { type Config2, config2 } from '../version2/config.ts';
import { translate } from '../version2/translate.ts';
import { type Document, parseDocument } from './document.ts';
import { merge } from './merge.ts';
import { type Places, shown } from './places.ts';
import { tooNew, versionOf } from './versions.ts';

/** Documents within documents within documents. */
const MAX_DEPTH = 8;

/**
 * A document with all that it merges or is replaced by, in the form of the latest version; undefined: it, or one of them, is not
 * valid, which `places` knows by then.
 * @throws BootstrapDataError
 */
export function render(text: string, places: Places, name = '', major?: 2 | 3): Config | undefined {
  const document = parseDocument(text, name);
  const version = versionOf(document);
  for (const { path, line } of document.duplicates) {
    const message = 'given more than once; as in Ignition only the last one counts, what the others hold is not carried out';
    places.findings.push({ reason: 'DuplicateKey', path: name === '' ? path : `${name}: ${path}`, line, message });
  }
  const add = (reason: BootstrapDataErrorReason, path: Path, message: string) =>
    places.problems.push({ reason, path: shown(document, path), line: document.line(path), message });
  if (major !== undefined && major !== version.major) {
    add('BootstrapDataInvalid', ['ignition', 'version'], `a document of ${major}.x takes only documents of ${major}.x`);
    return undefined;
  }
  const checked = version.major === 2 ? checkedAs(config2, document, places) : checkedAs(config, document, places);
  for (const { path, message } of tooNew(document.value, version)) add('BootstrapKeyUnsupported', path, message);
  if (checked === undefined) return undefined;
  places.locate(checked, document);
  const own = version.major === 2 ? translate(checked as Config2, places) : (checked as Config);
  return withReferenced(own, version.major, name, places);
}

function checkedAs<Schema extends z.ZodType>(schema: Schema, document: Document, places: Places): z.output<Schema> | undefined {
  const result = schema.safeParse(document.value);
  if (result.success) return result.data;
  const unsupported = (path: Path) => ({ reason: 'BootstrapKeyUnsupported' as const, path, message: 'this key is not supported' });
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, [], unsupported));
  places.problems.push(
    ...problems.map((one) => ({ ...located(one, (path) => ({ line: document.line(path) })), path: shown(document, one.path) })),
  );
  return undefined;
}

/** As Ignition: a replacement leaves nothing of the document; what is merged is complete by itself first. */
function withReferenced(own: Config, major: 2 | 3, name: string, places: Places): Config | undefined {
  const { merge: merged = [], replace } = own.ignition.config ?? {};
  const read = (resource: Resource, path: string) => {
    const text = textOf(resource, places);
    return text === undefined ? undefined : render(text, places, `${name === '' ? '' : `${name}: `}${path}`, major);
  };
  if (name.split(': ').length > MAX_DEPTH) {
    places.problem(own.ignition, ['config'], `documents hold each other more than ${MAX_DEPTH} deep`);
    return undefined;
  }
  const key = major === 2 ? 'append' : 'merge';
  if (replace?.source !== undefined) return read(replace, 'ignition.config.replace');
  return merged.reduce<Config | undefined>((whole, resource, index) => {
    const other = read(resource, `ignition.config.${key}[${index}]`);
    if (whole === undefined || other === undefined) return undefined;
    return major === 2 ? appended(whole, other, places) : (merge(whole, other, places) as Config);
  }, own);
}

function textOf(resource: Resource, places: Places): string | undefined {
  try {
    const content = contentOf(resource);
    if (content.kind === 'bytes' && resource.compression === 'gzip' && !places.budget.spend(content.bytes.length)) {
      places.problem(resource, ['source'], `all documents together have more than ${MAX_DOCUMENT_BYTES} bytes`, 'BootstrapDataTooLarge');
    } else if (content.kind === 'bytes') {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(content.bytes);
      if (text.trim() !== '') return text;
      places.problem(resource, ['source'], 'holds no document');
    } else {
      const why = 'a document that lies elsewhere cannot be checked before the host is touched; put it here as a data URL';
      places.problem(resource, ['source'], why, 'BootstrapKeyUnsupported');
    }
  } catch (error) {
    if (error instanceof Unreadable)
      places.problem(resource, error.key, error.message, error.unsupported ? 'BootstrapKeyUnsupported' : 'BootstrapDataInvalid');
    else places.problem(resource, ['source'], 'is not UTF-8');
  }
  return undefined;
}

/** As 2.x does it: lists one after the other, and whatever else the second one says. */
function appended(first: Config, second: Config, places: Places): Config {
  const join = (one: unknown, other: unknown): unknown => {
    if (Array.isArray(one) && Array.isArray(other)) return [...(one as unknown[]), ...(other as unknown[])];
    if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return other ?? one;
    const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
    const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>];
    return places.derive(Object.fromEntries([...keys].map((key) => [key, join(a[key], b[key])])), other, one);
  };
  return join(first, second) as Config;
}
