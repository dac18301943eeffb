import type { Path } from '../../cloud-config/path.ts';
import type { BootstrapDataErrorReason, Step } from '../../plan.ts';
import type { Config } from '../config.ts';
import type { Content, Resource } from './resource.ts';

/** What a section may know and tell besides its own keys. */
export interface Context {
  /** Name of a step: where its object stands in the document, and what it is about. */
  name(this: void, object: object, about: string): string;
  /** Something that can't be carried out: the document is refused. */
  problem(this: void, object: object, below: Path, message: string, reason?: BootstrapDataErrorReason): void;
  /** Something that a person should know although it is carried out. */
  note(this: void, object: object, below: Path, reason: string, message: string): void;
  /** Of a resource that stands under `below` of `object`; undefined: it can't be had, which is a problem. */
  content(this: void, object: object, below: Path, resource: Resource): Content | undefined;
}

/** Carries out a part of a document, which is in the form of the latest version by then. Pure. */
export interface Section {
  plan(config: Config, context: Context): Step[];
  /** Shell lines that find out whether the host can do it, before anything is changed; each ends by a sentence on standard error and exit code 1. */
  checks?(config: Config): string[];
}
