/**
 * Several documents become one as cloud-init merges them (cloudinit/mergers, docs: Merging user-data sections). Each says itself, by
 * merge_how or its part's header Merge-Type, how it is merged into what those before it made.
 */
import { listOf, type Located, mapOf } from './located.ts';
import { invalid as parseError } from './parse.ts';

export interface Mergeable {
  root: Located;
  /** Of the part's headers: `list(append)+dict(recurse_array)+str()`. */
  mergeType: string;
}

/** Later documents replace keys of earlier ones. */
const DEFAULT = 'dict(replace)+list()+str()';

interface Merger {
  name: string;
  options: string[];
}

/**
 * @param documents maps, in their order
 * @throws BootstrapDataError BootstrapDataInvalid, for a way of merging that there is not
 */
export function mergeDocuments(documents: Mergeable[]): Located {
  const [{ root: first }] = documents as [Mergeable];
  return documents.reduce(
    (merged, { root, mergeType }) => {
      const { content, declared } = withoutMergeType(root);
      const mergers = [...declared, ...parse(mergeType, root)];
      return new Merging(mergers.length > 0 ? mergers : parse(DEFAULT, root)).merge(merged, content);
    },
    mapOf(new Map(), first),
  );
}

function withoutMergeType(root: Located): { content: Located; declared: Merger[] } {
  const children = new Map(root.children);
  const [how, type] = ['merge_how', 'merge_type'].map((key) => children.get(key));
  const isGiven = (place: Located | undefined): place is Located => place !== undefined && place.value !== null;
  const given = [how, type].find(isGiven);
  children.delete('merge_how');
  children.delete('merge_type');
  return { content: mapOf(children, root), declared: given === undefined ? [] : declaredIn(given) };
}

/** A text; or a list whose items are `{name, settings}` or `[name, option…]`. */
function declaredIn(given: Located): Merger[] {
  if (typeof given.value === 'string') return parse(given.value, given);
  if (!Array.isArray(given.value)) throw invalid(given, 'merge_how is neither a text nor a list');
  return given.value.map((item: unknown) => {
    const [name, options] = Array.isArray(item) ? [item[0], item.slice(1)] : [get(item, 'name'), get(item, 'settings')];
    if (typeof name !== 'string' || !Array.isArray(options)) throw invalid(given, 'merge_how has an item without a name or settings');
    return known(name.replaceAll('-', '_').trim(), options.map(String), given);
  });
}

const get = (item: unknown, key: string): unknown =>
  typeof item === 'object' && item !== null ? (item as Record<string, unknown>)[key] : undefined;

function parse(text: string, place: Located): Merger[] {
  return text
    .split('+')
    .map((word) => word.toLowerCase().trim().replaceAll('-', '_'))
    .filter((word) => word !== '')
    .map((word) => {
      const [, name, options = ''] = /^([a-z_][a-z0-9_]*)\((.*?)\)$/.exec(word) ?? [];
      if (name === undefined) throw invalid(place, 'the way of merging is not like list(append)+dict(recurse_array)+str()');
      return known(
        name,
        options.split(',').flatMap((option) => option.trim() || []),
        place,
      );
    });
}

function known(name: string, options: string[], place: Located): Merger {
  const plain = name.replace(/^m_/, '');
  if (!['dict', 'list', 'str'].includes(plain)) throw invalid(place, 'it is to be merged in a way that cloud-init does not have');
  return { name: plain, options };
}

class Merging {
  readonly #mergers: Merger[];
  constructor(mergers: Merger[]) {
    this.#mergers = mergers;
  }

  /** By the first merger for the kind of the earlier value; without one that value stays. */
  merge(earlier: Located, later: Located): Located {
    const kind = kindOf(earlier);
    const options = this.#mergers.find(({ name }) => name === kind)?.options;
    if (options === undefined) return earlier;
    if (kind === 'dict') return this.#maps(earlier, later, options);
    if (kind === 'list') return this.#lists(earlier, later, options);
    return texts(earlier, later, options);
  }

  #maps(earlier: Located, later: Located, options: string[]): Located {
    if (kindOf(later) !== 'dict') return earlier;
    const children = new Map(earlier.children);
    for (const [key, value] of later.children ?? []) {
      const old = children.get(key);
      if (old === undefined) children.set(key, value);
      else if (value.value === null && options.includes('allow_delete')) children.delete(key);
      else if (options.includes('replace')) children.set(key, value);
      else if (this.#recurses(value, options, ['dict'])) children.set(key, this.merge(old, value));
    }
    return mapOf(children, earlier);
  }

  #lists(earlier: Located, later: Located, options: string[]): Located {
    const method = ['append', 'prepend', 'replace', 'no_replace'].find((name) => options.includes(name)) ?? 'replace';
    if (kindOf(later) !== 'list') {
      if (method === 'replace') return later;
      throw invalid(later, 'it is to be merged with a list, and is none');
    }
    const [old, added] = [itemsOf(earlier), itemsOf(later)];
    if (method === 'prepend') return listOf([...added, ...old], earlier);
    if (method === 'append') return listOf([...old, ...added], earlier);
    if (method === 'no_replace') return earlier;
    // Item by item; what the later list has more of is left out, as in cloud-init.
    const replaced = old.map((item, index) => {
      const other = added[index];
      if (other === undefined) return item;
      return this.#recurses(other, options, []) ? this.merge(item, other) : other;
    });
    return listOf(replaced, earlier);
  }

  /** Whether values within are merged in their turn, by the kind of the later one. */
  #recurses(later: Located, options: string[], always: string[]): boolean {
    const kind = kindOf(later);
    if (kind === undefined) return false;
    const names = kind === 'list' ? ['recurse_list', 'recurse_array'] : [`recurse_${kind}`];
    return always.includes(kind) || names.some((name) => options.includes(name));
  }
}

function texts(earlier: Located, later: Located, options: string[]): Located {
  if (!options.includes('append')) return later;
  if (typeof earlier.value !== 'string' || typeof later.value !== 'string')
    throw invalid(later, 'it is to be appended to a text, and is none');
  return { ...earlier, value: earlier.value + later.value };
}

function kindOf({ value, children }: Located): 'dict' | 'list' | 'str' | undefined {
  if (typeof value === 'string') return 'str';
  if (children === undefined) return undefined;
  return Array.isArray(value) ? 'list' : 'dict';
}

const itemsOf = ({ children }: Located): Located[] => [...(children?.values() ?? [])];

const invalid = ({ line, part }: Located, what: string) => parseError(line, what, part);
