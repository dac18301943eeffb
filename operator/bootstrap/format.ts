import { gunzip, TooLarge } from './gunzip.ts';
import { BootstrapDataError, type BootstrapData } from './plan.ts';

/** Bytes that a document may have once it is decompressed. A Secret holds 1 MiB at most. */
export const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;

/** A document whose kind is known and can be planned. */
export interface Document {
  kind: 'cloud-config' | 'script' | 'ignition';
  /** It stands under the header `## template: jinja`, which is cut off `text`. */
  template: boolean;
  text: string;
  /** The text says itself what it is; cloud-init passes over one that doesn't. */
  hasHeader: boolean;
}

/** What is recognised and not built, with what a person can do about it. */
const UNSUPPORTED = {
  powershell: 'PowerShell is not supported; hosts are Linux machines that are prepared by cloud-config or a script',
  mime: 'a MIME multi-part document is not supported yet; put all its parts into one #cloud-config document',
  include: 'an #include document is not supported; put what its addresses hold into one #cloud-config document',
  boothook: 'a #cloud-boothook document is not supported; use the key bootcmd of a #cloud-config document',
  parthandler: 'a #part-handler document is not supported; it is Python code that runs inside cloud-init',
  archive: 'a #cloud-config-archive document is not supported yet; put all its parts into one #cloud-config document',
  jsonp: 'a #cloud-config-jsonp document is not supported; write the wanted keys into one #cloud-config document',
} as const;

/** Beginnings of a document in lower case, the longest first where one contains another. */
const HEADERS: [prefix: string, kind: Document['kind'] | keyof typeof UNSUPPORTED][] = [
  ['#cloud-config-archive', 'archive'],
  ['#cloud-config-jsonp', 'jsonp'],
  ['#cloud-config', 'cloud-config'],
  ['#cloud-boothook', 'boothook'],
  ['#part-handler', 'parthandler'],
  ['#include', 'include'],
  ['#!', 'script'],
  ['content-type:', 'mime'],
  ['mime-version:', 'mime'],
  ['#ps1', 'powershell'],
  ['<powershell', 'powershell'],
];

/** Values of the Secret's key `format` that say no more than the header does. */
const BY_HEADER = new Set(['', 'cloud-config']);
const FORMATS = new Map<string, keyof typeof UNSUPPORTED>([
  ['powershell', 'powershell'],
  ['powershell-xml', 'powershell'],
]);

/**
 * Decodes bootstrap data and tells what it is, by the Secret's `format` and then by its beginning, as cloud-init does
 * (leading white space and case don't matter). Without a header it is taken as cloud-config, since providers that write no
 * `format` mean that.
 * @throws BootstrapDataError BootstrapDataEmpty, BootstrapDataBinary, BootstrapDataTooLarge, BootstrapFormatUnsupported
 */
export function readDocument(data: BootstrapData): Document {
  const format = (data.format ?? '').trim().toLowerCase();
  const unsupported = FORMATS.get(format);
  if (unsupported !== undefined) throw formatUnsupported(UNSUPPORTED[unsupported]);
  if (!BY_HEADER.has(format) && format !== 'ignition') {
    throw formatUnsupported('the key format of the bootstrap Secret names an unknown format; cloud-config and ignition are understood');
  }
  const whole = decode(data.value);
  if (format === 'ignition' || isIgnition(whole)) return { kind: 'ignition', template: false, text: whole, hasHeader: true };
  const template = /^\s*##\s*template:([^\n]*)(?:\n|$)/i.exec(whole);
  if (template !== null && template[1]?.trim().toLowerCase() !== 'jinja') {
    throw formatUnsupported('the first line names a template language other than jinja; only `## template: jinja` is understood');
  }
  const text = template === null ? whole : whole.slice(template[0].length);
  const kind = headerOf(text);
  if (kind !== undefined && kind in UNSUPPORTED) throw formatUnsupported(UNSUPPORTED[kind as keyof typeof UNSUPPORTED]);
  return { kind: kind === 'script' ? 'script' : 'cloud-config', template: template !== null, text, hasHeader: kind !== undefined };
}

/** JSON with a key that no cloud-config has. Broken JSON that begins so is told as what it was meant to be. */
function isIgnition(text: string): boolean {
  const start = text.trimStart();
  if (!start.startsWith('{')) return false;
  if (/^\{\s*"ignition"\s*:/.test(start)) return true;
  try {
    return Object.hasOwn(JSON.parse(start) as object, 'ignition');
  } catch {
    return false;
  }
}

function headerOf(text: string): (typeof HEADERS)[number][1] | undefined {
  const start = text.trimStart();
  const beginning = start.slice(0, 64).toLowerCase();
  return HEADERS.find(([prefix]) => beginning.startsWith(prefix))?.[1];
}

function decode(value: Uint8Array): string {
  if (value.length === 0) throw new BootstrapDataError('BootstrapDataEmpty', 'the bootstrap data is empty');
  const bytes = value[0] === 0x1f && value[1] === 0x8b ? decompress(value) : value;
  if (bytes.length > MAX_DOCUMENT_BYTES) throw tooLarge();
  if (bytes.includes(0)) throw binary('it holds NUL bytes');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw binary('it is not UTF-8', cause);
  }
  if (text.trim() === '') throw new BootstrapDataError('BootstrapDataEmpty', 'the bootstrap data holds nothing but white space');
  return text;
}

function decompress(value: Uint8Array): Uint8Array {
  try {
    return gunzip(value, MAX_DOCUMENT_BYTES);
  } catch (cause) {
    if (cause instanceof TooLarge) throw tooLarge(cause);
    throw binary('it begins as gzip and cannot be decompressed', cause);
  }
}

const tooLarge = (cause?: unknown) =>
  new BootstrapDataError('BootstrapDataTooLarge', `the bootstrap data has more than ${MAX_DOCUMENT_BYTES} bytes`, [], cause);
const binary = (why: string, cause?: unknown) =>
  new BootstrapDataError('BootstrapDataBinary', `the bootstrap data is not a text: ${why}`, [], cause);
const formatUnsupported = (sentence: string) => new BootstrapDataError('BootstrapFormatUnsupported', sentence);
