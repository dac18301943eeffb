import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { imageConfig } from './config.ts';

const values = { VERSION: '1.2.3', REVISION: 'abc', CREATED: '2026-01-01T00:00:00.000Z' };

test('the Dockerfile of the project is understood, and says what the image is', () => {
  const config = imageConfig(readFileSync(join(__dirname, '../../Dockerfile'), 'utf8'), values);
  expect(config.User).toBe('65532:65532');
  expect(config.WorkingDir).toBe('/manager');
  expect(config.Entrypoint.at(-1)).toBe('/manager/manager.js');
  expect(config.Env).toContain('NODE_ENV=production');
  expect(Object.keys(config.ExposedPorts)).toEqual(['8443/tcp', '9440/tcp']);
  expect(config.Labels).toMatchObject({
    'org.opencontainers.image.version': '1.2.3',
    'org.opencontainers.image.revision': 'abc',
    'org.opencontainers.image.created': '2026-01-01T00:00:00.000Z',
  });
});

test('only the last stage counts', () => {
  expect(imageConfig('FROM a AS build\nUSER root\nRUN anything\n\nFROM scratch\n# a comment\nCOPY a b\nUSER 1:1\n', {}).User).toBe('1:1');
});

test.each([
  ['RUN true', 'Dockerfile: this is not understood: RUN true'],
  ['LABEL version="$VERSION"', 'Dockerfile: VERSION has no value in: LABEL version="$VERSION"'],
  ['CMD ["a"]', 'Dockerfile: this is not understood: CMD ["a"]'],
])('what it does not know it refuses: %s', (line, message) => {
  expect(() => imageConfig(`FROM scratch\n${line}\n`, {})).toThrow(message);
});
