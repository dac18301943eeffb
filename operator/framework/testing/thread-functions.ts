/** What a thread may be asked to do, for its tests. Node.js runs it as it is, since threads are not Jest's. */
import { serve } from '../thread.ts';

export const FUNCTIONS = {
  add: (a: number, b: number): number => a + b,
  fail: (): never => {
    throw new TypeError('no');
  },
  spin: (): never => {
    for (;;);
  },
  hoard: (): never => {
    const all: number[][] = [];
    for (;;) all.push(new Array<number>(100_000).fill(all.length));
  },
  sleep: (milliseconds: number): string => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds),
};

serve(FUNCTIONS);
