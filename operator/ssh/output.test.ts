import fc from 'fast-check';
import { Tail } from './output.ts';

test('keeps the last bytes, however they come, and nothing of what they were cut from', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.uint8Array({ maxLength: 30 })), (limit, chunks) => {
      const tail = new Tail(limit);
      for (const chunk of chunks) tail.push(Buffer.from(chunk));
      expect(Buffer.from(tail.bytes)).toEqual(Buffer.concat(chunks).subarray(-limit));
    }),
  );
  const big = Buffer.alloc(1024 * 1024);
  const tail = new Tail(8);
  tail.push(big);
  expect(tail.bytes.buffer).not.toBe(big.buffer);
});

test('a character that was cut through is left out', () => {
  const tail = new Tail(4);
  tail.push(Buffer.from('aäöü'));
  expect(tail.toString()).toBe('öü');
  tail.push(Buffer.from('b'));
  expect(tail.toString()).toBe('üb');
});
