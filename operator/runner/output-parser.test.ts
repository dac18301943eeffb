import fc from 'fast-check';
import { OutputParser } from './output-parser.ts';
import type { OutputEvent } from './types.ts';

const RUN = 'run-1';
const NAME = Buffer.from('runcmd[0]').toString('base64');

/** Pieces that a job's output can be made of, marks and what resembles them. */
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom('\x1e', '\x1erun-1', '\x1erun-10 command 1 x\n', '\x1erun-1 other\n', `\x1e${RUN} command 7 ${NAME}\n`, '\n')
    .map((text) => Buffer.from(text)),
);
const output = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.concat(pieces));

function parse(chunks: Buffer[]): { events: OutputEvent[]; parser: OutputParser } {
  const events: OutputEvent[] = [];
  const parser = new OutputParser(RUN, 0, (event) => events.push(event));
  for (const chunk of chunks) parser.write(chunk);
  parser.end();
  return { events, parser };
}

/** The same whatever the chunks: output joined, commands by name. */
function joined(events: OutputEvent[]): string {
  return events.map((event) => (event.kind === 'output' ? event.chunk.toString('latin1') : `<${event.name}>`)).join('');
}

function cut(bytes: Buffer, places: number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

test('the cut of the chunks makes no difference, and no byte is lost', () => {
  fc.assert(
    fc.property(output, fc.array(fc.nat(), { maxLength: 20 }), (bytes, places) => {
      const whole = parse([bytes]);
      const parts = parse(cut(bytes, places));
      expect(joined(parts.events)).toBe(joined(whole.events));
      expect(parts.parser.offset).toBe(bytes.length);
      expect(joined(whole.events)).toBe(bytes.toString('latin1').replaceAll(`\x1e${RUN} command 7 ${NAME}\n`, '<runcmd[0]>'));
    }),
  );
});

test('the offset of each event is where the rest goes on', () => {
  fc.assert(
    fc.property(output, fc.array(fc.nat(), { maxLength: 20 }), (bytes, places) => {
      const { events } = parse(cut(bytes, places));
      events.forEach((event, index) => expect(joined(parse([bytes.subarray(event.offset)]).events)).toBe(joined(events.slice(index + 1))));
    }),
  );
});

test('the end mark ends it', () => {
  const { events, parser } = parse([Buffer.from(`a\x1e${RUN} end 3 1700000000 yes shell ${NAME}\nb`)]);
  expect(joined(events)).toBe('a');
  expect(parser.result).toEqual({
    exitCode: 3,
    finishedAt: new Date(1_700_000_000_000),
    sentinel: true,
    kind: 'shell',
    name: 'runcmd[0]',
    reboots: false,
  });
});

test('what begins like a mark and never ends does not pile up', () => {
  const events: OutputEvent[] = [];
  const parser = new OutputParser(RUN, 0, (event) => events.push(event));
  parser.write(Buffer.from(`\x1e${RUN} `));
  for (let index = 0; index < 40; index++) parser.write(Buffer.alloc(1000, 'x'));
  expect(parser.offset).toBeGreaterThan(20_000);
});
