import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Mounts, descriptors and child processes belong to a process: each file gets its own.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    // Some compile first.
    hookTimeout: 120_000,
    // Node's pipes are sockets: a bash on one that finds no shell above it takes itself for rshd's, and reads a ~/.bashrc that may not be its user's.
    env: { SHLVL: '2' },
    reporters: ['default', './scripts/reporter.mjs'],
  },
});
