/**
 * Loaded before the program (node --import): writes to $VFIOFS_BENCH_MARKS when Node begins to run it, loads the addon, starts the launcher and serves its
 * mount, as "name nanoseconds" of CLOCK_MONOTONIC.
 */
import { appendFileSync } from 'node:fs';

const file = process.env.VFIOFS_BENCH_MARKS;
delete process.env.VFIOFS_BENCH_MARKS;
const mark = (name) => appendFileSync(file, `${name} ${process.hrtime.bigint()}\n`);

function markCall(object, name, as) {
  const call = object[name];
  if (typeof call !== 'function') throw new Error(`the addon has no ${name}()`);
  object[name] = (...args) => {
    mark(as);
    return call.apply(object, args);
  };
}

const { dlopen } = process;
process.dlopen = (module, ...rest) => {
  mark('loaded');
  dlopen.call(process, module, ...rest);
  markCall(module.exports, 'startChild', 'planned');
  markCall(module.exports, 'createChannel', 'mounted');
};
mark('node');
