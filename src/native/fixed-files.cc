#include "fixed-files.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1 << 5)
#endif

namespace {
// What tells an open for reading from others.
constexpr uint32_t kDeciding = O_ACCMODE | O_TRUNC | O_DIRECT;

// The caller may have died meanwhile (ENOENT): then nobody waits.
bool reply(int fuseFd, uint64_t unique, const void* payload, size_t size) {
  fuse_out_header header{static_cast<uint32_t>(sizeof header + size), 0, unique};
  iovec parts[2] = {{&header, sizeof header}, {const_cast<void*>(payload), size}};
  while (writev(fuseFd, parts, size ? 2 : 1) < 0 && errno == EINTR) continue;
  return true;
}

template <class T>
const T* body(const uint8_t* request, size_t length) {
  return length >= sizeof(fuse_in_header) + sizeof(T)
             ? reinterpret_cast<const T*>(request + sizeof(fuse_in_header))
             : nullptr;
}
}  // namespace

bool FixedFiles::answer(int fuseFd, const uint8_t* request, size_t length) {
  if (length < sizeof(fuse_in_header)) return false;
  auto& header = *reinterpret_cast<const fuse_in_header*>(request);
  switch (header.opcode) {
    case FUSE_OPEN:
      if (auto* in = body<fuse_open_in>(request, length))
        return openFile(fuseFd, header.unique, header.nodeid, in->flags);
      return false;
    case FUSE_READ:
      if (auto* in = body<fuse_read_in>(request, length))
        return read(fuseFd, header.unique, header.nodeid, in->fh, in->offset, in->size);
      return false;
    case FUSE_RELEASE:
      if (auto* in = body<fuse_release_in>(request, length)) return release(fuseFd, header.unique, in->fh);
      return false;
    default:
      return false;
  }
}

bool FixedFiles::openFile(int fuseFd, uint64_t unique, uint64_t node, uint32_t flags) {
  if ((flags & kDeciding) != O_RDONLY || !contents_.count(node)) return false;
  open_.emplace(++lastHandle_, false);
  fuse_open_out out{};
  out.fh = lastHandle_;
  // As src/transports/fuse/file-operations.ts has it.
  out.open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
  return reply(fuseFd, unique, &out, sizeof out);
}

bool FixedFiles::read(int fuseFd, uint64_t unique, uint64_t node, uint64_t handle, uint64_t offset, size_t size) {
  auto content = contents_.find(node);
  if (content == contents_.end()) return false;
  auto file = open_.find(handle);
  if (file == open_.end()) return false;
  file->second = true;
  const std::string& text = content->second;
  size_t start = std::min<uint64_t>(offset, text.size());
  return reply(fuseFd, unique, text.data() + start, std::min(size, text.size() - start));
}

bool FixedFiles::release(int fuseFd, uint64_t unique, uint64_t handle) {
  return open_.erase(handle) > 0 && reply(fuseFd, unique, nullptr, 0);
}

int FixedFiles::adopt(uint64_t handle) {
  auto file = open_.find(handle);
  if (file == open_.end()) return -1;
  bool read = file->second;
  open_.erase(file);
  return read;
}
