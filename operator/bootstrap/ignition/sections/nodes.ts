import { z } from 'zod';
import { type CommandStep, type FileStep, type Step } from '../../plan.ts';
import { scriptStep } from '../../cloud-config/module.ts';
import type { Config } from '../config.ts';
import { flag, integer, line, path } from '../values.ts';
import { fetchScript } from './fetch.ts';
import { checkFree, directoryScript, linkScript, makeRoom } from './node_scripts.ts';
import { type Content, type Resource, resource } from './resource.ts';
import type { Context, Section } from './section.ts';

const DEFAULT_MODE = 0o644;
/** Bits that these versions don't set (https://coreos.github.io/ignition/operator-notes/#setuidsetgidsticky-mode-bits). */
const SPECIAL_BITS = 0o7000;

export const mode = integer.min(0).max(0o7777, "is more than 4095, which is 7777 in octal; JSON's numbers are decimal");
export const owner = z
  .strictObject({ id: integer.min(0).optional(), name: line.optional() })
  .refine(({ id, name = '' }) => id === undefined || name === '', 'has both a number and a name')
  .refine(({ name = '' }) => !/[:\s]/.test(name), 'is not the name of a user or a group');

const node = {
  path: path.refine((value) => value !== '/', 'is the root of all files'),
  overwrite: flag.optional(),
  user: owner.optional(),
  group: owner.optional(),
};

export const directory = z.strictObject({ ...node, mode: mode.optional() });
export const file = z
  .strictObject({ ...node, mode: mode.optional(), contents: resource.optional(), append: z.array(resource).optional() })
  .refine(({ overwrite, contents }) => overwrite !== true || contents?.source !== undefined, {
    message: 'cannot be true where contents has no source',
    path: ['overwrite'],
  });
export const link = z.strictObject({ ...node, target: line.min(1, 'is empty'), hard: flag.optional() });

export type Directory = z.output<typeof directory> & {
  /** As in 2.x, what is missing above it becomes like it. */
  likeIt?: boolean;
};
export type File = z.output<typeof file>;
export type Link = z.output<typeof link>;
type Node = { kind: 'directory'; node: Directory } | { kind: 'file'; node: File } | { kind: 'link'; node: Link };

/** Directories, files and links, those above before those below; hard links last, since they may name any of them. */
export const nodes: Section = {
  plan: (config, context) => ordered(config).flatMap((one) => stepsFor(one, config, context)),
  checks(config) {
    const mounted = (config.storage?.filesystems ?? []).flatMap(({ path: point }) => (point === undefined ? [] : [`${point}/`]));
    const exact = ordered(config).filter(({ kind, node: { path: name, overwrite } }) => {
      return kind === 'file' && overwrite !== true && !mounted.some((point) => name.startsWith(point));
    });
    return exact.flatMap(({ node: one }) => ('contents' in one && one.contents?.source !== undefined ? [checkFree(one.path)] : []));
  },
};

function ordered({ ignition: { version }, storage = {} }: Config): Node[] {
  const list = [
    ...(storage.directories ?? []).map((one): Node => ({ kind: 'directory', node: one })),
    ...(storage.files ?? []).map((one): Node => ({ kind: 'file', node: one })),
    ...(storage.links ?? []).map((one): Node => ({ kind: 'link', node: one })),
  ];
  // 2.x makes directories before all else, and keeps the order of the rest, in which a file may come twice.
  const depth = ({ kind, node: { path: name } }: Node) =>
    version.startsWith('2.') && kind !== 'directory' ? 1000 : name.split('/').length;
  const last = ({ kind, node: one }: Node) => kind === 'link' && 'hard' in one && one.hard === true;
  return list.toSorted((a, b) => Number(last(a)) - Number(last(b)) || depth(a) - depth(b));
}

function stepsFor(one: Node, config: Config, context: Context): Step[] {
  const { node: item } = one;
  const name = context.name(item, item.path);
  const user = ownerOf(item.user);
  const group = ownerOf(item.group);
  if (item.overwrite === true && isPartOfHost(item.path)) {
    context.problem(item, ['overwrite'], 'would remove a directory that the host runs from');
  }
  if (one.kind === 'file') return fileSteps(name, one.node, config, context);
  if (one.kind === 'link') {
    const about = { ...one.node, hard: one.node.hard ?? false, overwrite: item.overwrite ?? false };
    return [scriptStep(name, linkScript(about, chownWord(user, group)))];
  }
  const bits = modeOf(one.node, context);
  return [scriptStep(name, directoryScript({ ...one.node, overwrite: item.overwrite ?? false, mode: bits }, chownWord(user, group)))];
}

/** What a running host cannot be without, not even for a moment. */
const PARTS = /^\/(?:bin|boot|dev|etc|home|lib|lib32|lib64|opt|proc|root|run|sbin|sys|tmp|usr|var)$/;
const DEEPER = [
  '/etc/ssh',
  '/etc/systemd',
  '/etc/systemd/system',
  '/usr/bin',
  '/usr/lib',
  '/usr/sbin',
  '/var/lib',
  '/var/lib/cluster-api-provider-remote',
];
const isPartOfHost = (name: string): boolean => PARTS.test(name) || DEEPER.includes(name) || name === '/run/cluster-api-provider-remote';

const ownerOf = (value: { id?: number | undefined; name?: string | undefined } | undefined): string | undefined =>
  value?.id?.toString() ?? (value?.name === '' ? undefined : value?.name);

const chownWord = (user: string | undefined, group: string | undefined): string =>
  group === undefined ? (user ?? '') : `${user ?? ''}:${group}`;

function modeOf(item: Directory | File, { note }: Context): number | undefined {
  if (item.mode === undefined || (item.mode & SPECIAL_BITS) === 0) return item.mode;
  note(
    item,
    ['mode'],
    'ModeBitsIgnored',
    'as in Ignition, the setuid, setgid and sticky bits are not set; a unit or a command can set them',
  );
  return item.mode & ~SPECIAL_BITS;
}

/** The content comes in pieces: bytes by a step that writes, what lies elsewhere by one that fetches it. */
function fileSteps(name: string, item: File, config: Config, context: Context): Step[] {
  const given = item.contents?.source !== undefined;
  const pieces = [
    ...(given ? [context.content(item, ['contents'], item.contents ?? {})] : []),
    ...(item.append ?? []).map((one: Resource, index) => context.content(item, ['append', index], one)),
  ].filter((one): one is Content => one !== undefined);
  const [first, ...rest] = joined(pieces);
  const written = { ...first, append: !given };
  const start: CommandStep = scriptStep(`${name} room`, makeRoom(item.path, given, item.overwrite ?? false));
  const attributes = attributesOf(item, given, config, context);
  const steps: Step[] = [start, { kind: 'file', name, path: item.path, ...written, ...attributes }];
  for (const piece of rest) {
    if (piece.kind === 'remote') steps.push(scriptStep(`${name} fetch`, fetchScript(item.path, piece, config)));
    else
      steps.push({
        kind: 'file',
        name,
        path: item.path,
        content: piece.bytes,
        append: true,
        mode: DEFAULT_MODE,
        keep: { mode: true, owner: true },
      });
  }
  return steps;
}

/** Neighbours that are bytes become one; the first piece is always bytes. */
function joined(pieces: Content[]): [{ content: Uint8Array }, ...Content[]] {
  const list: Content[] = [{ kind: 'bytes', bytes: new Uint8Array() }];
  for (const piece of pieces) {
    const before = list.at(-1);
    if (piece.kind === 'bytes' && before?.kind === 'bytes')
      list[list.length - 1] = { kind: 'bytes', bytes: Buffer.concat([before.bytes, piece.bytes]) };
    else list.push(piece);
  }
  const [first, ...rest] = list;
  return [{ content: first?.kind === 'bytes' ? first.bytes : new Uint8Array() }, ...rest];
}

/** A file that is made anew is root's; one that is only added to keeps what is not said. */
function attributesOf(item: File, given: boolean, config: Config, context: Context): Pick<FileStep, 'mode' | 'owner' | 'keep'> {
  const bits = modeOf(item, context);
  // 2.x gives a new file no rights where it says none.
  const fallback = config.ignition.version.startsWith('2.') ? 0 : DEFAULT_MODE;
  const [user, group] = [ownerOf(item.user), ownerOf(item.group)];
  if (given) return { mode: bits ?? fallback, owner: `${user ?? '0'}:${group ?? '0'}` };
  const owned = user !== undefined || group !== undefined;
  return {
    mode: bits ?? fallback,
    ...(owned && { owner: chownWord(user, group) }),
    keep: { mode: bits === undefined, owner: !owned },
  };
}
