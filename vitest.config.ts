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
    reporters: ['default', './scripts/reporter.mjs'],
  },
});
