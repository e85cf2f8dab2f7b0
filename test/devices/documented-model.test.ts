/** The model of docs/device-models.md, as it stands there: type-checked, run, and put through the conformance suite. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import type { ModelDefinition } from '../../src/devices/index.js';
import { FakeDeviceContext, quiesce } from '../../src/testkit/fake-device-context.js';
import { modelConformance } from '../../src/testkit/model-conformance.js';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/device-models.md'), 'utf8');
const code = /```ts\n([\s\S]*?)```/.exec(page)?.[1]?.replace("'vfiofs'", "'../../../src/devices/index.js'");
// Inside the project, so that its imports and the compiler's settings hold.
const directory = mkdtempSync(join(import.meta.dirname, 'documented-'));
const file = join(directory, 'copier.ts');
writeFileSync(file, code ?? '');
afterAll(() => rmSync(directory, { recursive: true }));

const { copier } = (await import(file)) as { copier: ModelDefinition };

function startWork(context: FakeDeviceContext): void {
  context.dma.map(0x1000n, 0x1000).fill(0x5a, 0, 64);
  context.store(0, 0x08, 8, 0x1000n);
  context.store(0, 0x10, 8, 0x1800n);
  context.store(0, 0x00, 4, 64);
  context.look();
}

describe('the model in docs/device-models.md', () => {
  it('compiles as strictly as the project', () => {
    const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config as object;
    const { options } = ts.parseJsonConfigFileContent(
      { ...config, include: [], files: [file] },
      ts.sys,
      root,
    );
    const program = ts.createProgram([file], options);
    const problems = ts.getPreEmitDiagnostics(program, program.getSourceFile(file));
    expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  }, 60_000);

  it('copies, interrupts, and reports a fault', async () => {
    const { context } = FakeDeviceContext.create(copier);
    startWork(context);
    await quiesce(context);
    expect(context.dma.read(0x1800n, 64)).toEqual(Buffer.alloc(64, 0x5a));
    expect([context.load(0, 0x04, 4), context.messages]).toEqual([2n, [0]]);
    context.trap(0, 0x10, 8, 0xdead0000n);
    context.trap(0, 0x00, 4, 64);
    await quiesce(context);
    expect([context.load(0, 0x04, 4), context.messages]).toEqual([3n, [0, 0]]);
  });

  for (const { name, run } of modelConformance({ definition: copier, startWork })) it(name, run);
});
