/** A logger for tests that remembers what was written, children included. */
import { type Level, LeveledLogger } from '../leveled-logger.ts';

export interface LoggedLine {
  level: Level;
  message: string;
  fields: Record<string, unknown>;
}

export class MemoryLogger extends LeveledLogger {
  readonly lines: LoggedLine[];
  readonly #fields: Record<string, unknown>;
  constructor(fields: Record<string, unknown> = {}, lines: LoggedLine[] = []) {
    super();
    this.lines = lines;
    this.#fields = fields;
  }
  child(fields: Record<string, unknown>): MemoryLogger {
    return new MemoryLogger({ ...this.#fields, ...fields }, this.lines);
  }
  /** Messages of that level, oldest first. */
  at(level: LoggedLine['level']): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }
  protected write(level: Level, message: string, fields: Record<string, unknown> | undefined): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
