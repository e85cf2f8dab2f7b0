// The client of the conformance suite: the same operations over memfs in-process or, started as a process of its own, over the
// mounted tree. Over IPC: { id, name, args } in, { id, value } or { id, error: { code, message } } out.
import realFs from 'node:fs';
import { fileURLToPath } from 'node:url';

export function program(fs, root) {
  const { promises } = fs;
  const at = (path) => root + path;
  const handles = new Map();
  let last = 0;
  const text = (bytes) => Buffer.from(bytes).toString('latin1');
  const summary = (stats) => ({
    kind: stats.isFile()
      ? 'file'
      : stats.isDirectory()
        ? 'directory'
        : stats.isSymbolicLink()
          ? 'symlink'
          : 'other',
    mode: stats.mode & 0o7777,
    size: stats.size,
    nlink: stats.nlink,
    ino: stats.ino,
    uid: stats.uid,
    gid: stats.gid,
  });
  return {
    stat: async (path) => summary(await promises.stat(at(path))),
    lstat: async (path) => summary(await promises.lstat(at(path))),
    readdir: async (path) => (await promises.readdir(at(path))).sort(),
    kinds: async (path) => {
      const entries = await promises.readdir(at(path), { withFileTypes: true });
      return entries
        .map((e) => `${e.name}:${e.isFile() ? 'f' : e.isDirectory() ? 'd' : e.isSymbolicLink() ? 'l' : '?'}`)
        .sort();
    },
    readlink: (path) => promises.readlink(at(path)),
    realpath: async (path) => (await promises.realpath(at(path))).slice(root.length),
    readFile: async (path) => text(await promises.readFile(at(path))),
    stream: async (path) => {
      const parts = [];
      for await (const part of fs.createReadStream(at(path))) parts.push(part);
      return text(Buffer.concat(parts));
    },
    writeFile: (path, data) => promises.writeFile(at(path), data),
    append: (path, data) => promises.appendFile(at(path), data),
    truncate: (path, size) => promises.truncate(at(path), size),
    open: async (path, flags) => {
      handles.set(++last, await promises.open(at(path), flags));
      return last;
    },
    read: async (handle, length, position) => {
      const { bytesRead, buffer } = await handles.get(handle).read(Buffer.alloc(length), 0, length, position);
      return text(buffer.subarray(0, bytesRead));
    },
    write: async (handle, data, position) => {
      const bytes = Buffer.from(data, 'latin1');
      return (await handles.get(handle).write(bytes, 0, bytes.length, position)).bytesWritten;
    },
    fstat: async (handle) => summary(await handles.get(handle).stat()),
    close: async (handle) => {
      await handles.get(handle).close();
      handles.delete(handle);
    },
    mkdir: (path) => promises.mkdir(at(path)),
    rmdir: (path) => promises.rmdir(at(path)),
    unlink: (path) => promises.unlink(at(path)),
    symlink: (target, path) => promises.symlink(target, at(path)),
    link: (from, to) => promises.link(at(from), at(to)),
    rename: (from, to) => promises.rename(at(from), at(to)),
    chmod: (path, mode) => promises.chmod(at(path), mode),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const operations = program(realFs, process.argv[2]);
  process.on('message', ({ id, name, args }) => {
    operations[name](...args).then(
      (value) => process.send({ id, value }),
      (error) => process.send({ id, error: { code: error.code, message: error.message } }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
