/**
 * A vitest reporter that writes { passed, failed, skipped: [{ name, reason }] } to $VFIOFS_SUMMARY. With CI set, a skipped test
 * against real clients counts as failed: all it can be skipped for is huge pages, and there they can be had.
 */
import { writeFileSync } from 'node:fs';

const isClientTest = (module) => /\/test\/clients/.test(module.moduleId);

export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const module of modules) {
      // A file that can't even be loaded has no tests to count.
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) summary.failed++;
      for (const test of module.children.allTests()) this.count(summary, module, test);
    }
    if (process.env.VFIOFS_SUMMARY) writeFileSync(process.env.VFIOFS_SUMMARY, JSON.stringify(summary));
  }

  count(summary, module, test) {
    const { state, note } = test.result();
    if (state === 'passed') summary.passed++;
    else if (state !== 'skipped') summary.failed++;
    else if (process.env.CI && isClientTest(module)) {
      summary.failed++;
      console.log(`✗ ${test.fullName}: skipped in CI: ${note ?? 'no reason given'}`);
    } else summary.skipped.push({ name: test.fullName, reason: note ?? 'no reason given' });
  }
}
