import type { Logger } from './types.ts';

export interface LoggerOptions {
  /** As -v of the Cluster API managers: 0 info, 2 and more debug. */
  verbosity?: number;
  format?: 'json' | 'text';
  /** Default standard error. */
  stream?: NodeJS.WritableStream;
}
export interface RootLogger extends Logger {
  setVerbosity(verbosity: number): void;
}
export declare function createLogger(options?: LoggerOptions): RootLogger;
