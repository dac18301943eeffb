/** Why a template is not rendered. The message has nothing of the template but names that Jinja or cloud-init give. */
export class Refusal extends Error {
  /** In the template, from 1: that of the innermost expression or statement. */
  line: number | undefined;
  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}

/** Elements of a list that is made, and iterations of a loop. */
const MAX_ELEMENTS = 100_000;
const MAX_CHARACTERS = 8 * 1024 * 1024;
/** Python writes out no integer of more than 4300 digits. */
const MAX_INTEGER = 10n ** 4300n;

export function boundedElements(count: number): number {
  if (count > MAX_ELEMENTS) throw new Refusal(`it makes a list or loop of more than ${MAX_ELEMENTS} elements`);
  return count;
}

export function boundedText(text: string): string {
  boundedCharacters(text.length);
  return text;
}

export function boundedCharacters(count: number): number {
  if (count > MAX_CHARACTERS) throw new Refusal(`it grows to more than ${MAX_CHARACTERS} characters`);
  return count;
}

export function boundedInteger(value: bigint): bigint {
  if (value > MAX_INTEGER || value < -MAX_INTEGER) throw new Refusal('it computes an integer of more than 4300 digits');
  return value;
}
