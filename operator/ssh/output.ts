/** Keeps the last `limit` bytes of a stream. */
export class Tail {
  readonly #limit: number;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    const kept = Math.max(0, this.#limit - chunk.length);
    const before = kept === 0 ? this.#bytes.subarray(0, 0) : this.#bytes.subarray(-kept);
    // Copied: a slice would keep all of what it was cut from. Only what stays, as a run may print without end.
    this.#bytes = Buffer.concat([before, chunk.subarray(-this.#limit)]);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** As UTF-8, without the rest of a character that was cut through. */
  toString(): string {
    let start = 0;
    while (start < 3 && isContinuation(this.#bytes[start])) start++;
    return this.#bytes.toString('utf8', start);
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Splits a stream at the first occurrence of a marker, which may be spread over chunks. */
export class MarkedStream {
  readonly #marker: Buffer;
  readonly #before: Tail;
  #seen = false;

  /** @param keep bytes that are kept of what comes before the marker. */
  constructor(marker: Buffer, keep: number) {
    this.#marker = marker;
    this.#before = new Tail(keep + marker.length);
  }

  /** What of the chunk comes after the marker; empty while it has not come. */
  push(chunk: Buffer): Buffer {
    if (this.#seen) return chunk;
    const text = Buffer.concat([this.#before.bytes, chunk]);
    const at = text.indexOf(this.#marker);
    if (at < 0) {
      this.#before.push(chunk);
      return Buffer.alloc(0);
    }
    this.#seen = true;
    return text.subarray(at + this.#marker.length);
  }

  get seen(): boolean {
    return this.#seen;
  }

  /** The last of what came before the marker. */
  get before(): string {
    return this.#before.toString();
  }
}
