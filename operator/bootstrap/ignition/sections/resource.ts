import { createHash } from 'node:crypto';
import { z } from 'zod';
import { MAX_TOTAL_BYTES } from '../../cloud-config/modules/write_files_content.ts';
import { gunzip, TooLarge } from '../../gunzip.ts';
import { line, text } from '../values.ts';

const hash = z.string().regex(/^(?:sha512-[0-9a-f]{128}|sha256-[0-9a-f]{64})$/i, 'is not sha512- or sha256- and the digits of the hash');
const header = z.strictObject({ name: line.min(1, 'is empty'), value: line.min(1, 'is empty').optional() });

/** Something that lies elsewhere, or in the document itself as a data URL. */
export const resource = z.strictObject({
  source: text.optional(),
  compression: z.enum(['', 'gzip'], { error: 'is not a compression; there is gzip' }).optional(),
  verification: z.strictObject({ hash: hash.optional() }).optional(),
  httpHeaders: z.array(header).optional(),
});

export type Resource = z.output<typeof resource>;

/** What a resource is; bytes are as they are to be written. */
export type Content =
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'remote'; url: string; gzip: boolean; hash: { algorithm: 'sha256' | 'sha512'; sum: string } | undefined; headers: string[] };

/** Why a resource can't be had; `key` is where it says so. */
export class Unreadable extends Error {
  readonly key: string[];
  readonly unsupported: boolean;
  constructor(key: string[], message: string, unsupported = false) {
    super(message);
    this.key = key;
    this.unsupported = unsupported;
  }
}

/**
 * @throws Unreadable, which holds nothing of the content
 */
export function contentOf({ source = '', compression = '', verification, httpHeaders = [] }: Resource): Content {
  const [algorithm, sum = ''] = (verification?.hash ?? '').toLowerCase().split('-');
  const wanted = algorithm === 'sha256' || algorithm === 'sha512' ? { algorithm, sum } : undefined;
  if (/^https?:/i.test(source)) {
    if (!URL.canParse(source) || /[\s"\\]/.test(source)) throw new Unreadable(['source'], 'is not a URL');
    const headers = httpHeaders.filter(({ value }) => value !== undefined).map(({ name, value }) => `${name}: ${value}`);
    return { kind: 'remote', url: source, gzip: compression === 'gzip', hash: wanted, headers } as Content;
  }
  if (httpHeaders.length > 0) throw new Unreadable(['httpHeaders'], 'only a source of http or https takes them');
  const bytes = decompressed(bytesOf(source), compression);
  if (wanted !== undefined && createHash(wanted.algorithm).update(bytes).digest('hex') !== wanted.sum) {
    throw new Unreadable(['verification', 'hash'], 'the content has another hash');
  }
  return { kind: 'bytes', bytes };
}

/** RFC 2397; no source at all is an empty content. */
function bytesOf(source: string): Uint8Array {
  if (source === '') return new Uint8Array();
  if (!source.startsWith('data:')) {
    throw new Unreadable(
      ['source'],
      'a host here fetches http and https, and takes data URLs; nothing else',
      /^[a-z][a-z0-9+.-]*:/i.test(source),
    );
  }
  const [, parameters, data = ''] = /^data:((?:[^,"]|"[^"]*")*),(.*)$/s.exec(source) ?? [];
  if (parameters === undefined) throw new Unreadable(['source'], 'is not a data URL');
  const unescaped = percentDecoded(data);
  if (!/;base64$/.test(parameters)) return unescaped;
  const base64 = unescaped.toString('latin1');
  if (!/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(base64) || base64.replace(/[\r\n]/g, '').length % 4 !== 0) {
    throw new Unreadable(['source'], 'is not complete base64');
  }
  return Buffer.from(base64, 'base64');
}

function percentDecoded(data: string): Buffer {
  if (/%(?![0-9a-fA-F]{2})/.test(data)) throw new Unreadable(['source'], 'has a % that is not followed by two digits');
  return Buffer.concat(
    data
      .split(/((?:%[0-9a-fA-F]{2})+)/)
      .map((part, index) => (index % 2 === 1 ? Buffer.from(part.replaceAll('%', ''), 'hex') : Buffer.from(part))),
  );
}

function decompressed(bytes: Uint8Array, compression: string): Uint8Array {
  try {
    const plain = compression === 'gzip' ? gunzip(bytes, MAX_TOTAL_BYTES) : bytes;
    if (plain.length > MAX_TOTAL_BYTES) throw new TooLarge();
    return plain;
  } catch (cause) {
    if (cause instanceof TooLarge) throw new Unreadable(['source'], `has more than the ${MAX_TOTAL_BYTES} bytes that a file may have`);
    throw new Unreadable(['source'], 'is not gzip data');
  }
}
