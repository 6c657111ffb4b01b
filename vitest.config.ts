import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A native addon keeps threads and mapped files: a process a file keeps one test's leftovers out of the next.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // A test that nobody runs, or that asserts nothing, passes for no reason.
    allowOnly: false,
    passWithNoTests: false,
  },
})
