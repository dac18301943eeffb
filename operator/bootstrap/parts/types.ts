/** Kinds of documents, as cloud-init tells them apart: by the type that MIME headers give, or by their beginning. */
import { formatUnsupported } from '../format.ts';

export const KINDS = ['cloud-config', 'boothook', 'script', 'per-once', 'per-boot', 'per-instance'] as const;
/** What is carried out. */
export type Kind = (typeof KINDS)[number];

/** What is recognised and not carried out, with what a person can do about it. */
const REFUSED = {
  ignition: 'an Ignition document cannot be a part of another; let it be all of the data',
  powershell: 'PowerShell is not supported; hosts are Linux machines that are prepared by cloud-config or a script',
  mime: 'a MIME document within another is not supported; put its parts into the outer one',
  include: 'an #include document is not supported; put what its addresses hold into the document',
  parthandler: 'a #part-handler document is not supported; it is Python code that runs inside cloud-init',
  jsonp: 'a #cloud-config-jsonp document is not supported; write the wanted keys into a #cloud-config document',
} as const;

export type Type = Kind | 'template' | 'archive' | keyof typeof REFUSED;

/** Beginnings in lower case, the longest first where one contains another. */
const BEGINNINGS: [beginning: string, type: Type][] = [
  ['#cloud-config-archive', 'archive'],
  ['#cloud-config-jsonp', 'jsonp'],
  ['#cloud-config', 'cloud-config'],
  ['#cloud-boothook', 'boothook'],
  ['#part-handler', 'parthandler'],
  ['#include', 'include'],
  ['#!', 'script'],
  ['#ps1', 'powershell'],
  ['<powershell', 'powershell'],
];

const MIME_TYPES = new Map<string, Type>([
  ['text/cloud-config', 'cloud-config'],
  ['text/cloud-boothook', 'boothook'],
  ['text/x-shellscript', 'script'],
  ['text/x-shellscript-per-once', 'per-once'],
  ['text/x-shellscript-per-boot', 'per-boot'],
  ['text/x-shellscript-per-instance', 'per-instance'],
  ['text/jinja2', 'template'],
  ['text/cloud-config-archive', 'archive'],
  ['text/cloud-config-jsonp', 'jsonp'],
  ['text/x-include-url', 'include'],
  ['text/x-include-once-url', 'include'],
  ['text/part-handler', 'parthandler'],
  ['message/rfc822', 'mime'],
]);

/** Types that say nothing; and the one that people give to all that they have. */
const SAYS_NOTHING = new Set(['text/plain', 'text/x-not-multipart', 'text/x-shellscript']);

/** By how the text begins; leading white space and case don't matter. */
export function typeByBeginning(text: string): Type | undefined {
  const start = text.trimStart();
  if (/^\{\s*"ignition"\s*:/.test(start)) return 'ignition';
  const beginning = start.slice(0, 64).toLowerCase();
  if (beginning.startsWith('## template:')) return 'template';
  return BEGINNINGS.find(([prefix]) => beginning.startsWith(prefix))?.[1];
}

/** By its MIME type, where that says something, else by how it begins. */
export function typeOf(mimeType: string, text: string): Type | undefined {
  return (SAYS_NOTHING.has(mimeType) ? typeByBeginning(text) : undefined) ?? MIME_TYPES.get(mimeType);
}

/** @throws BootstrapDataError BootstrapFormatUnsupported, for what is not carried out */
export function supported(type: Type): Kind | 'template' | 'archive' {
  if (type in REFUSED) throw formatUnsupported(REFUSED[type as keyof typeof REFUSED]);
  return type as Kind | 'template' | 'archive';
}
