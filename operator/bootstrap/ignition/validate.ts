import { type Config, config as schema } from './config.ts';
import type { Places } from './documents/places.ts';

/** What the parts of a document, once it is complete, must not say of each other. */
export function validate(config: Config, places: Places): void {
  const { directories = [], files = [], links = [] } = config.storage ?? {};
  const nodes = [...directories, ...files, ...links];
  const units = unitFiles(config);
  for (const node of nodes) {
    if (units.has(node.path)) places.problem(node, ['path'], 'is the file of a unit or a drop-in of the document');
    const above = links.find(({ path }) => node.path.startsWith(`${path}/`));
    if (above !== undefined) places.problem(node, ['path'], 'lies below a link of the document; name the place where it really is');
  }
  for (const link of links) {
    if (link.hard === true && directories.some(({ path }) => path === link.target))
      places.problem(link, ['target'], 'is a directory, which has no hard links');
  }
  validateMerged(config, places);
  // Lists of 2.x are carried out as they stand, and may name a thing twice.
  if (config.ignition.version.startsWith('2.')) return;
  twice(nodes, ({ path }) => path, 'path', places);
  twice(config.passwd?.users ?? [], ({ name }) => name, 'name', places);
  twice(config.passwd?.groups ?? [], ({ name }) => name, 'name', places);
  twice(config.systemd?.units ?? [], ({ name }) => name, 'name', places);
  for (const { dropins = [] } of config.systemd?.units ?? []) twice(dropins, ({ name }) => name, 'name', places);
  twice(config.storage?.disks ?? [], ({ device }) => device, 'device', places);
  twice(config.storage?.filesystems ?? [], ({ device }) => device, 'device', places);
  twice(config.storage?.raid ?? [], ({ name }) => name, 'name', places);
}

/** Documents that are valid by themselves may not be so together. What merging gives lies where the last of them says it. */
function validateMerged(config: Config, places: Places): void {
  if ((config.ignition.config?.merge ?? []).length === 0 || config.ignition.version.startsWith('2.')) return;
  for (const { path, message } of schema.safeParse(config).error?.issues ?? []) {
    const above: object[] = [config];
    for (const part of path) {
      const next: unknown = (above.at(-1) as Record<PropertyKey, unknown>)[part];
      if (typeof next !== 'object' || next === null) break;
      above.push(next);
    }
    places.problem(
      above.at(-1) ?? config,
      path.slice(above.length - 1).map((part) => (typeof part === 'number' ? part : String(part))),
      message,
    );
  }
}

function twice<Item extends object>(list: Item[], keyOf: (item: Item) => string, key: string, places: Places): void {
  const seen = new Set<string>();
  for (const item of list) {
    if (seen.has(keyOf(item))) places.problem(item, [key], 'is named twice in the document');
    seen.add(keyOf(item));
  }
}

const unitFiles = ({ systemd: { units = [] } = {} }: Config): Set<string> =>
  new Set(
    units.flatMap(({ name, contents = '', dropins = [] }) => [
      ...(contents === '' ? [] : [`/etc/systemd/system/${name}`]),
      ...dropins.flatMap((one) => ((one.contents ?? '') === '' ? [] : [`/etc/systemd/system/${name}.d/${one.name}`])),
    ]),
  );
