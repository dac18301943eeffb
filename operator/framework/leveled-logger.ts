import type { Logger } from './types.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';

/** A logger that writes all levels in one way. */
export abstract class LeveledLogger implements Logger {
  debug(message: string, fields?: Record<string, unknown>): void {
    this.write('debug', message, fields);
  }
  info(message: string, fields?: Record<string, unknown>): void {
    this.write('info', message, fields);
  }
  warn(message: string, fields?: Record<string, unknown>): void {
    this.write('warn', message, fields);
  }
  error(message: string, fields?: Record<string, unknown>): void {
    this.write('error', message, fields);
  }
  abstract child(fields: Record<string, unknown>): Logger;
  protected abstract write(level: Level, message: string, fields: Record<string, unknown> | undefined): void;
}
