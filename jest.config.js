// Packages that ship ES modules only: Jest's own module system needs them transformed.
const esmPackages = [
  '@kubernetes/client-node',
  'openid-client',
  'oauth4webapi',
  'jose',
  'socks-proxy-agent',
  'agent-base',
  'jsonpath-plus',
  'js-yaml',
  'isomorphic-ws',
  'p-limit',
  'yocto-queue',
];
const common = {
  testEnvironment: 'node',
  transform: {
    '\\.[cm]?[jt]s$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'commonjs' } }],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esmPackages.join('|')})/)`],
};

/** @type {import('jest').Config} */
export default {
  projects: [
    {
      ...common,
      displayName: 'unit',
      roots: ['<rootDir>/apis', '<rootDir>/operator', '<rootDir>/release', '<rootDir>/e2e'],
      testMatch: ['**/*.test.ts'],
    },
    {
      ...common,
      displayName: 'e2e',
      roots: ['<rootDir>/e2e/suites'],
      testMatch: ['**/*.e2e.ts'],
      globalSetup: '<rootDir>/e2e/jest/setup.ts',
      globalTeardown: '<rootDir>/e2e/jest/teardown.ts',
      setupFilesAfterEnv: ['<rootDir>/e2e/jest/timeout.ts'],
    },
  ],
};
