import { formatPath, type Path } from '../../cloud-config/path.ts';
import type { Budget } from '../../format.ts';
import type { BootstrapDataErrorReason, Finding } from '../../plan.ts';
import type { LocatedProblem } from '../../problems.ts';
import type { Document } from './document.ts';

interface Place {
  document: Document;
  path: Path;
}

/** Remembers where the objects of all documents stand, through merging and translating, and collects what is wrong with them. */
export class Places {
  /** What may still be decompressed. */
  readonly budget: Budget;
  readonly problems: LocatedProblem[] = [];
  readonly findings: Finding[] = [];
  readonly #places = new WeakMap<object, Place>();

  constructor(budget: Budget) {
    this.budget = budget;
  }

  /** An object and everything in it. */
  locate(value: unknown, document: Document, path: Path = []): void {
    if (typeof value !== 'object' || value === null) return;
    this.#places.set(value, { document, path });
    for (const [key, item] of Object.entries(value)) this.locate(item, document, [...path, Array.isArray(value) ? Number(key) : key]);
  }

  /** `made` comes from the first of `sources` that stands somewhere. */
  derive<Made extends object>(made: Made, ...sources: (object | undefined)[]): Made {
    const place = sources.map((source) => source && this.#places.get(source)).find((one) => one !== undefined);
    if (place !== undefined) this.#places.set(made, place);
    return made;
  }

  /** `storage.files[1]`. */
  pathOf(object: object, ...below: Path): string {
    const place = this.#places.get(object);
    return place === undefined ? formatPath(below) : shown(place.document, [...place.path, ...below]);
  }

  problem(object: object, below: Path, message: string, reason: BootstrapDataErrorReason = 'BootstrapDataInvalid'): void {
    this.problems.push({ reason, path: this.pathOf(object, ...below), line: this.#lineOf(object, below), message });
  }

  note(object: object, below: Path, reason: string, message: string): void {
    this.findings.push({ reason, path: this.pathOf(object, ...below), line: this.#lineOf(object, below), message });
  }

  #lineOf(object: object, below: Path): number {
    const place = this.#places.get(object);
    return place?.document.line([...place.path, ...below]) ?? 1;
  }
}

/** Lines within a document that another one holds are counted there. */
export function shown({ name }: Document, path: Path): string {
  return name === '' ? formatPath(path) : `${name}: ${formatPath(path)}`;
}
