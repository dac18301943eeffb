/**
 * Makes JSON merge patches (RFC 7386). Own code: none of the dependencies has it, and it is thirty lines; what applies the
 * patch is the API server. A merge patch cannot say null, so a null in `after` means that the field is absent, as it does in Kubernetes.
 */
type Fields = Record<string, unknown>;

/** The smallest merge patch that makes `after` of `before`; undefined if they are equal. */
export function mergePatch(before: object, after: object): object | undefined {
  const patch: Fields = {};
  const old = before as Fields;
  const wanted = after as Fields;
  for (const key of Object.keys(old)) {
    if (isPresent(old, key) && !isPresent(wanted, key)) put(patch, key, null);
  }
  for (const key of Object.keys(wanted)) {
    if (!isPresent(wanted, key)) continue;
    const change = difference(Object.hasOwn(old, key) ? old[key] : undefined, wanted[key]);
    if (change !== undefined) put(patch, key, change);
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** What a patch must hold to make `after` of `before`, or undefined for nothing. `after` is neither null nor undefined. */
function difference(before: unknown, after: unknown): unknown {
  if (isFields(before) && isFields(after)) return mergePatch(before, after);
  if (isFields(after)) return mergePatch({}, after) ?? {};
  return equal(before, after) ? undefined : after;
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isPresent = (fields: Fields, key: string): boolean => Object.hasOwn(fields, key) && fields[key] !== undefined && fields[key] !== null;

/** Defines instead of assigning: a label may be called __proto__. */
const put = (fields: Fields, key: string, value: unknown): void => {
  Object.defineProperty(fields, key, { value, enumerable: true, configurable: true, writable: true });
};

/** Of JSON values; lists are compared as a whole, since a merge patch replaces them as a whole. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  if (!isFields(a) || !isFields(b)) return false;
  const keys = Object.keys(a).filter((key) => a[key] !== undefined);
  return (
    keys.length === Object.keys(b).filter((key) => b[key] !== undefined).length &&
    keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  );
}
