/** The steps of examples/containers/workflow.yaml, run as GitHub's runner runs them (docs.github.com: Workflow syntax, `shell`). */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from '../cli/program.js';

interface Step {
  readonly uses?: string;
  readonly run?: string;
}
interface Job {
  readonly 'runs-on': string;
  readonly container?: { readonly image: string; readonly options: string };
  readonly steps: readonly Step[];
}

export const jobs = (
  parse(readFileSync(join(root, 'examples/containers/workflow.yaml'), 'utf8')) as {
    jobs: Record<string, Job>;
  }
).jobs;

export const shell = ['bash', '--noprofile', '--norc', '-eo', 'pipefail', '-c'] as const;

/** What actions/checkout leaves of such a project. `tests` is a shell script. */
export function checkOut(workspace: string, tests: string): void {
  mkdirSync(workspace);
  copyFileSync(join(root, 'examples/dma-lab.yaml'), join(workspace, 'lab.yaml'));
  writeFileSync(join(workspace, 'my-tests'), `#!/bin/sh -e\n${tests}\n`);
  chmodSync(join(workspace, 'my-tests'), 0o755);
  symlinkSync(root, join(workspace, 'vfiofs'));
}

/** The commands of a job, in order. What it `uses` must be what stands here: who checks out and who brings Node. */
export function commandsOf(job: Job): string[] {
  const known = /^actions\/(checkout|setup-node)@v\d+$/;
  for (const { uses } of job.steps)
    if (uses !== undefined && !known.test(uses)) throw new Error(`nothing here stands for ${uses}`);
  return job.steps.flatMap(({ run }) => run ?? []);
}
