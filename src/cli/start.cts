/**
 * Where Node starts: the program, which is one file here (scripts/bundle.mjs), with what V8 made of it when it was built. To read and compile it
 * anew took a third of a start. Another version of Node refuses that (cachedDataRejected) and compiles; so it does where none was kept.
 */
import fs = require('node:fs');
import Module = require('node:module');
import path = require('node:path');
import vm = require('node:vm');

const program = path.join(__dirname, 'main.cjs');
const kept = path.join(__dirname, 'main.cache');
// It is all ASCII, which is read and kept in half the memory.
const script = new vm.Script(Module.wrap(fs.readFileSync(program, 'latin1')), {
  filename: program,
  cachedData: fs.existsSync(kept) ? fs.readFileSync(kept) : undefined,
});
(script.runInThisContext() as (...given: unknown[]) => void)(exports, require, module, program, __dirname);
