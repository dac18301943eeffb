import { gunzipSync } from 'node:zlib';

/** Decompressed data would be larger than the limit. */
export class TooLarge extends Error {}

/**
 * Decompresses gzip data to at most `limit` bytes.
 * @throws TooLarge, or zlib's own error if it isn't gzip data
 */
export function gunzip(bytes: Uint8Array, limit: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.max(limit, 1) });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw new TooLarge('too large', { cause });
    throw cause;
  }
}
