import { Writable } from 'node:stream';
import { createLogger, type LoggerOptions } from './logging.ts';
import { ApiError } from './types.ts';

const setUp = (options: LoggerOptions = {}) => {
  const written: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      written.push(chunk.toString());
      done();
    },
  });
  const log = createLogger({ ...options, stream });
  const lines = () => written.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, written, lines };
};

test('writes JSON lines with time, level, message and the fields of all parents', () => {
  const { log, lines } = setUp();
  log.child({ controller: 'a' }).child({ namespace: 'b' }).info('hello', { count: 1 });
  expect(lines()).toEqual([
    { ts: expect.stringMatching(/^\d{4}-.*Z$/) as string, level: 'info', msg: 'hello', controller: 'a', namespace: 'b', count: 1 },
  ]);
});

test('a field called message, level or ts does not disturb the line', () => {
  const { log, lines } = setUp();
  log.info('hello', { message: 'x', level: 'error', ts: 'y' });
  expect(lines()[0]).toMatchObject({ level: 'info', msg: 'hello', message: 'x' });
});

test('the level follows the verbosity, also of children that exist', () => {
  const { log, lines } = setUp({ verbosity: 1 });
  const child = log.child({});
  child.debug('hidden');
  log.setVerbosity(2);
  child.debug('shown');
  log.setVerbosity(0);
  child.debug('hidden again');
  expect(lines().map((line) => line['msg'])).toEqual(['shown']);
});

test('errors are spelled out with their causes; the stack only at debug', () => {
  const { log, lines } = setUp();
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const error = new ApiError(0, 'ConnectionRefused', 'get machines: refused', undefined, cause);
  log.error('failed', { error });
  log.setVerbosity(2);
  log.error('failed', { error });
  const spelled = {
    name: 'ApiError',
    status: 0,
    reason: 'ConnectionRefused',
    message: 'get machines: refused',
    cause: { name: 'Error', message: 'refused', code: 'ECONNREFUSED' },
  };
  expect(lines()[0]!['error']).toEqual(spelled);
  expect(lines()[1]!['error']).toMatchObject({ ...spelled, stack: expect.stringContaining('logging.test') as string });
});

test('circles and what JSON cannot say are written as something', () => {
  const { log, lines } = setUp();
  const circle: Record<string, unknown> = { big: 1n, when: new Date(0), bytes: Buffer.from('abc') };
  circle['self'] = circle;
  log.info('odd', { circle });
  expect(lines()[0]!['circle']).toMatchObject({ big: '1', when: '1970-01-01T00:00:00.000Z', bytes: '3 bytes', self: { big: '1' } });
});

test('what is shaped like a secret is written nowhere', () => {
  const { log, written } = setUp();
  const token = 'abcdef.0123456789abcdef';
  log.child({ a: [{ b: token }] }).error(`join ${token}`, { error: new Error(token, { cause: new Error(token) }) });
  expect(written.join('')).not.toContain(token);
  expect(written.join('').match(/\[redacted\]/g)).toHaveLength(4);
});

test('text for people', () => {
  const { log, written } = setUp({ format: 'text' });
  log.warn('hello', { name: 'a', count: 1 });
  expect(written[0]).toMatch(/^\S+Z WARN {2}hello name=a count=1\n$/);
});
