/**
 * Writes what follows from the schemas: `node apis/generate/main.ts`. With --check it writes nothing, names the files that
 * differ, and exits with 1.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { generate } from './generate.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** `undefined`: there is no such file. */
async function read(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
}

/** The first line in which the two differ, for people. */
function firstDifference(actual: string, expected: string): string {
  const [have, want] = [actual.split('\n'), expected.split('\n')];
  const line = want.findIndex((text, index) => text !== have[index]);
  const at = line === -1 ? want.length : line;
  return `line ${at + 1}: is ${JSON.stringify(have[at] ?? '(end)')}, should be ${JSON.stringify(want[at] ?? '(end)')}`;
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
for (const [name, expected] of await generate()) {
  const file = path.join(root, name);
  const actual = await read(file);
  if (actual === expected) continue;
  if (values.check) {
    console.error(`${name}: ${actual === undefined ? 'is missing' : firstDifference(actual, expected)}. Run: npm run generate`);
    process.exitCode = 1;
  } else {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, expected);
    console.log(`wrote ${name}`);
  }
}
