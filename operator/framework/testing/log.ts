/** A logger for tests that remembers what was written, children included. */
import type { Logger } from '../types.ts';

export interface LoggedLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: Record<string, unknown>;
}

export class MemoryLogger implements Logger {
  readonly lines: LoggedLine[];
  readonly #fields: Record<string, unknown>;
  constructor(fields: Record<string, unknown> = {}, lines: LoggedLine[] = []) {
    this.lines = lines;
    this.#fields = fields;
  }
  debug(message: string, fields?: Record<string, unknown>): void {
    this.#write('debug', message, fields);
  }
  info(message: string, fields?: Record<string, unknown>): void {
    this.#write('info', message, fields);
  }
  warn(message: string, fields?: Record<string, unknown>): void {
    this.#write('warn', message, fields);
  }
  error(message: string, fields?: Record<string, unknown>): void {
    this.#write('error', message, fields);
  }
  child(fields: Record<string, unknown>): MemoryLogger {
    return new MemoryLogger({ ...this.#fields, ...fields }, this.lines);
  }
  /** Messages of that level, oldest first. */
  at(level: LoggedLine['level']): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }
  #write(level: LoggedLine['level'], message: string, fields: Record<string, unknown> | undefined): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
