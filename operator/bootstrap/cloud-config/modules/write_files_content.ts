import { MAX_DOCUMENT_BYTES } from '../../format.ts';
import { gunzip, TooLarge } from '../../gunzip.ts';

/** Bytes of all files of a document once they are decoded. One that names another's content by an alias counts as well. */
export const MAX_TOTAL_BYTES = MAX_DOCUMENT_BYTES;

/** What was done to a content; base64 is outermost. */
export interface Encoding {
  gzip: boolean;
  base64: boolean;
}

/**
 * A file's content as it is to be written.
 * @throws TooLarge over `limit` bytes, Error if the content isn't in the encoding; messages hold nothing of the content
 */
export function decodeContent(content: string | Uint8Array, encoding: Encoding, limit: number): Uint8Array {
  let bytes: Uint8Array = typeof content === 'string' && !encoding.base64 ? Buffer.from(content) : new Uint8Array();
  if (encoding.base64) bytes = decodeBase64(typeof content === 'string' ? content : Buffer.from(content).toString('latin1'));
  else if (typeof content !== 'string') bytes = content;
  if (encoding.gzip) bytes = decompress(bytes, limit);
  if (bytes.length > limit) throw tooLarge();
  return new Uint8Array(bytes);
}

/** As Python's base64.b64decode: foreign characters are passed over, padding must be right, what follows it is ignored. */
function decodeBase64(text: string): Uint8Array {
  const [data = '', ...rest] = text.replace(/[^A-Za-z0-9+/=]/g, '').split('=');
  const needed = (4 - (data.length % 4)) % 4;
  if (needed === 3 || rest.length < needed) throw new Error('is not complete base64');
  return Buffer.from(data, 'base64');
}

function decompress(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzip(bytes, limit);
  } catch (cause) {
    if (cause instanceof TooLarge) throw tooLarge();
    throw new Error('is not gzip data', { cause });
  }
}

const tooLarge = () => new TooLarge(`decodes to more than all files together may have (${MAX_TOTAL_BYTES} bytes)`);
