/**
 * Loaded before the program (node -r): writes what V8 has made of it by the time it ends beside it, for the next start (src/cli/start.cts). What
 * was called in this run is in it, what was not is compiled when it is called.
 */
const { writeFileSync } = require('node:fs');
const vm = require('node:vm');

vm.Script = class extends vm.Script {
  constructor(source, options) {
    super(source, options);
    // Before the program's own, which may end the process for good.
    process.on('exit', () =>
      writeFileSync(options.filename.replace(/cjs$/, 'cache'), this.createCachedData()),
    );
  }
};
