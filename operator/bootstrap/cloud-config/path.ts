/** Keys and indexes that lead to a value. */
export type Path = (string | number)[];

/** `users[0].name`. A key that doesn't look like one is not shown: in a broken document it may be part of a secret. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const key = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(part) ? part : '<key>';
    return text === '' ? key : `${text}.${key}`;
  }, '');
}
