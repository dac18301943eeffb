/** The one place that writes logs: winston, JSON lines or text for people, everything filtered for what is shaped like a secret. */
import winston from 'winston';
import { type Level, LeveledLogger } from './leveled-logger.ts';
import { secretFilter } from './redaction.ts';
import { ApiError, isError, type Logger } from './types.ts';

export interface LoggerOptions {
  /** As -v of the Cluster API managers: 0 info, 2 and more debug. Default 0. */
  verbosity?: number;
  /** Default json. */
  format?: 'json' | 'text';
  /** Default standard error. */
  stream?: NodeJS.WritableStream;
}

export interface RootLogger extends Logger {
  /** Changes the level of this logger and all its children at run time. */
  setVerbosity(verbosity: number): void;
}

export function createLogger(options: LoggerOptions = {}): RootLogger {
  const stream = options.stream ?? process.stderr;
  const sink = winston.createLogger({
    level: levelOf(options.verbosity ?? 0),
    format: options.format === 'text' ? textFormat : jsonFormat,
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston declares its own transports so
    transports: [new winston.transports.Stream({ stream })],
  });
  return new FilteredLogger(sink, {});
}

const levelOf = (verbosity: number): string => (verbosity >= 2 ? 'debug' : 'info');
const filter = secretFilter([]);

class FilteredLogger extends LeveledLogger implements RootLogger {
  readonly #sink: winston.Logger;
  readonly #fields: Record<string, unknown>;
  constructor(sink: winston.Logger, fields: Record<string, unknown>) {
    super();
    this.#sink = sink;
    this.#fields = fields;
  }
  child(fields: Record<string, unknown>): Logger {
    return new FilteredLogger(this.#sink, { ...this.#fields, ...fields });
  }
  setVerbosity(verbosity: number): void {
    this.#sink.level = levelOf(verbosity);
  }
  protected write(level: Level, message: string, fields: Record<string, unknown> | undefined): void {
    if (!this.#sink.isLevelEnabled(level)) return;
    const stacks = this.#sink.isLevelEnabled('debug');
    // Under one key: winston appends a field called `message` to the message, and would let others replace level and timestamp.
    this.#sink.log({ level, message: filter(message), fields: plain({ ...this.#fields, ...fields }, stacks, 0) });
  }
}

interface Line {
  time: string;
  level: string;
  message: string;
  fields: Record<string, unknown>;
}
const lineOf = (info: winston.Logform.TransformableInfo): Line => ({
  time: new Date().toISOString(),
  level: info.level,
  message: String(info.message),
  fields: info['fields'] as Record<string, unknown>,
});

const jsonFormat = winston.format.printf((info) => {
  const { time, level, message, fields } = lineOf(info);
  return JSON.stringify({ ...fields, ts: time, level, msg: message });
});

const textFormat = winston.format.printf((info) => {
  const { time, level, message, fields } = lineOf(info);
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${time} ${level.toUpperCase().padEnd(5)} ${message}${pairs.join('')}`;
});

const MAX_DEPTH = 6;

/** A copy that JSON can say: errors spelled out, strings filtered, circles and depths cut. */
function plain(value: unknown, stacks: boolean, depth: number): unknown {
  if (typeof value === 'string') return filter(value);
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '…';
  if (isError(value)) return plainError(value, stacks, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (Buffer.isBuffer(value)) return `${value.length} bytes`;
  if (Array.isArray(value)) return value.map((item) => plain(item, stacks, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, stacks, depth + 1)]));
}

function plainError(error: Error, stacks: boolean, depth: number): Record<string, unknown> {
  const code = (error as NodeJS.ErrnoException).code;
  return {
    name: error.name,
    message: filter(error.message),
    ...(error instanceof ApiError && { status: error.status, reason: error.reason }),
    ...(code !== undefined && { code }),
    ...(stacks && error.stack !== undefined && { stack: filter(error.stack) }),
    ...(error.cause !== undefined && { cause: plain(error.cause, stacks, depth + 1) }),
    ...(error instanceof AggregateError && { errors: plain(error.errors, stacks, depth + 1) }),
  };
}
