/** Replaces secrets, and what is shaped like one, by [redacted]. */
export declare function secretFilter(secrets: readonly string[]): (text: string) => string;
