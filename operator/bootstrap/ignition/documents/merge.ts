import type { Places } from './places.ts';

type Item = Record<string, unknown>;

/** What makes two entries of a list the same one, by the list's key. Entries of other lists are the same if they are equal. */
const KEYS: Record<string, (item: Item) => unknown> = {
  disks: (item) => item['device'],
  filesystems: (item) => item['device'],
  partitions: ({ number, label }) =>
    typeof number === 'number' && number !== 0 ? number : typeof label === 'string' ? `label ${label}` : '',
  directories: (item) => item['path'],
  files: (item) => item['path'],
  links: (item) => item['path'],
  raid: (item) => item['name'],
  users: (item) => item['name'],
  units: (item) => item['name'],
  dropins: (item) => item['name'],
  httpHeaders: (item) => item['name'],
  merge: (item) => item['source'],
  certificateAuthorities: (item) => item['source'],
};
/** Lists to whose end the child's entries are added, whatever they are. */
const ADDED = new Set(['append', 'options', 'mountOptions']);
/** One path is one thing: an entry of the child's takes away those of the parent's other lists. */
const NODES = ['directories', 'files', 'links'];

const isItem = (value: unknown): value is Item => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Ignition's merging of documents of 3.x (https://coreos.github.io/ignition/operator-notes/#config-merging): what the child says wins. */
export function merge(parent: Item, child: Item, places: Places): Item {
  const merged: Item = {};
  for (const key of new Set([...Object.keys(parent), ...Object.keys(child)])) {
    const [before, after] = [parent[key], child[key]];
    if (Array.isArray(before) || Array.isArray(after)) merged[key] = mergeLists(key, before, after, child, places);
    else merged[key] = isItem(before) && isItem(after) ? merge(before, after, places) : (after ?? before);
  }
  return places.derive(merged, child, parent);
}

function mergeLists(key: string, parent: unknown, child: unknown, childOfAll: Item, places: Places): unknown[] {
  const [before, after] = [parent, child].map((list): unknown[] => (Array.isArray(list) ? list : []));
  if (before === undefined || after === undefined || ADDED.has(key))
    return places.derive([...(before ?? []), ...(after ?? [])], child as object, parent as object);
  const keyOf = (item: unknown): unknown => (isItem(item) ? (KEYS[key] ?? ((one: Item) => one['name']))(item) : item);
  const elsewhere = new Set(
    NODES.includes(key) ? NODES.filter((other) => other !== key).flatMap((other) => pathsIn(childOfAll[other])) : [],
  );
  const kept = before.flatMap((item) => {
    const same = after.findLast((one) => keyOf(one) === keyOf(item));
    if (same === undefined) return elsewhere.has(keyOf(item)) ? [] : [item];
    if (!isItem(item) || !isItem(same)) return [same];
    // A header without a value takes the parent's away.
    return key === 'httpHeaders' && same['value'] === undefined ? [] : [merge(item, same, places)];
  });
  const known = new Set(before.map(keyOf));
  return places.derive(
    [...kept, ...after.filter((item) => !known.has(keyOf(item)))],
    child as object | undefined,
    parent as object | undefined,
  );
}

const pathsIn = (list: unknown): unknown[] =>
  Array.isArray(list) ? list.map((item: unknown) => (isItem(item) ? item['path'] : undefined)) : [];
