import type { Path } from './path.ts';

/** A value of a document, and where it stands. */
export interface Located {
  value: unknown;
  line: number;
  /** Name of the part, where the data has several. */
  part: string;
  /** Of a map or a list. */
  children?: Map<string | number, Located>;
}

export type Place = Pick<Located, 'line' | 'part'>;

/** Of a value, or of what holds it where it doesn't exist. */
export function placeOf(root: Located, path: Path): Place {
  let place = root;
  for (const key of path) {
    const child = place.children?.get(key);
    if (child === undefined) break;
    place = child;
  }
  return place;
}

export function mapOf(children: Map<string | number, Located>, { line, part }: Place): Located {
  return { value: plainObject(children), line, part, children };
}

export function listOf(items: Located[], { line, part }: Place): Located {
  return { value: items.map((item) => item.value), line, part, children: new Map(items.entries()) };
}

/** An object in which `__proto__` is a key like any other. */
function plainObject(children: Map<string | number, Located>): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, { value }] of children) {
    Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
  }
  return object;
}
