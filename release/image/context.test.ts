/** The Dockerfile's own stage has all that its command reads: nothing else could be seen without building it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** Every file of the project that these import, and these. */
function reachedFrom(files: string[], reached = new Set<string>()): Set<string> {
  for (const file of files) {
    if (reached.has(file)) continue;
    reached.add(file);
    const imports = [...read(file).matchAll(/(?:from|import) '(\.{1,2}\/[^']+)'/g)].map(([, name = '']) => name);
    reachedFrom(
      imports.map((name) => path.join(path.dirname(file), name)),
      reached,
    );
  }
  return reached;
}

const [build = ''] = read('Dockerfile').split(/^FROM scratch$/m);
const copied = [...build.matchAll(/^COPY (.*) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '));
const isCopied = (file: string): boolean => copied.some((one) => file === one || file.startsWith(`${one}/`));

test('what it builds with is copied, and so is what goes into the bundle', () => {
  const program = /node (release\/\S+) --layers/.exec(build)?.[1] ?? '';
  // The bundle is made in a process of its own, from these two.
  const files = [...reachedFrom([program, 'operator/bundle.ts', 'operator/main.ts', 'operator/worker.ts'])];
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => !isCopied(file))).toEqual([]);
  // Read by their names: the version, and what the licence asks for.
  expect(['package.json', 'package-lock.json', 'LICENSE'].filter((file) => !isCopied(file))).toEqual([]);
});

test('what is copied is in the context, and nothing else is sent there', () => {
  expect(copied.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  const [first, ...taken] = read('.dockerignore').trim().split('\n');
  expect(first).toBe('**');
  expect(taken.map((line) => line.replace(/^!/, '')).sort()).toEqual([...copied].sort());
});
