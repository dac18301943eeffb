import { gunzip, TooLarge } from './gunzip.ts';
import { BootstrapDataError, type BootstrapData } from './plan.ts';

/** Bytes that a document may have once it is decompressed, all its parts together. A Secret holds 1 MiB at most. */
export const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;

/** Values of the Secret's key `format` that say no more than the data does. */
const BY_CONTENT = new Set(['', 'cloud-config', 'ignition']);
const UNSUPPORTED = new Map([
  ['powershell', 'PowerShell is not supported; hosts are Linux machines that are prepared by cloud-config or a script'],
]);

/**
 * The text of bootstrap data.
 * @throws BootstrapDataError BootstrapDataEmpty, BootstrapDataBinary, BootstrapDataTooLarge, BootstrapFormatUnsupported
 */
export function readText({ format = '', value }: BootstrapData, budget: Budget): string {
  const name = format.trim().toLowerCase().replace(/-xml$/, '');
  const unsupported = UNSUPPORTED.get(name);
  if (unsupported !== undefined) throw formatUnsupported(unsupported);
  if (!BY_CONTENT.has(name)) {
    throw formatUnsupported('the key format of the bootstrap Secret names an unknown format; cloud-config and ignition are understood');
  }
  if (value.length === 0) throw new BootstrapDataError('BootstrapDataEmpty', 'the bootstrap data is empty');
  const text = decode(isGzip(value) ? budget.decompress(value) : budget.take(value));
  if (text.trim() === '') throw new BootstrapDataError('BootstrapDataEmpty', 'the bootstrap data holds nothing but white space');
  return text;
}

/** JSON with a key that no cloud-config has. Broken JSON that begins so is told as what it was meant to be. */
export function isIgnition({ format = '' }: BootstrapData, text: string): boolean {
  if (format.trim().toLowerCase() === 'ignition') return true;
  const start = text.trimStart();
  if (!start.startsWith('{')) return false;
  if (/^\{\s*"ignition"\s*:/.test(start)) return true;
  try {
    return Object.hasOwn(JSON.parse(start) as object, 'ignition');
  } catch {
    return false;
  }
}

export const isGzip = (value: Uint8Array): boolean => value[0] === 0x1f && value[1] === 0x8b;

/** What may still be decompressed, of all that one Secret holds: the document, its parts, documents in it, and contents of files. */
export class Budget {
  #left = MAX_DOCUMENT_BYTES;

  /** Whether that much was left, which is then taken. */
  spend(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  take(bytes: Uint8Array): Uint8Array {
    if (!this.spend(bytes.length)) throw tooLarge();
    return bytes;
  }

  decompress(value: Uint8Array): Uint8Array {
    try {
      return this.take(gunzip(value, this.#left));
    } catch (cause) {
      if (cause instanceof BootstrapDataError) throw cause;
      if (cause instanceof TooLarge) throw tooLarge(cause);
      throw binary('it begins as gzip and cannot be decompressed', cause);
    }
  }
}

/** @throws BootstrapDataError BootstrapDataBinary */
export function decode(bytes: Uint8Array, charset = 'utf-8'): string {
  if (bytes.includes(0)) throw binary('it holds NUL bytes');
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw binary(charset === 'utf-8' ? 'it is not UTF-8' : 'it is not in the character set that it names', cause);
  }
}

const tooLarge = (cause?: unknown) =>
  new BootstrapDataError('BootstrapDataTooLarge', `the bootstrap data has more than ${MAX_DOCUMENT_BYTES} bytes`, [], cause);
const binary = (why: string, cause?: unknown) =>
  new BootstrapDataError('BootstrapDataBinary', `the bootstrap data is not a text: ${why}`, [], cause);
export const formatUnsupported = (sentence: string) => new BootstrapDataError('BootstrapFormatUnsupported', sentence);
