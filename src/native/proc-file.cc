#include "proc-file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {
ssize_t readProc(pid_t tid, const char* name, void* buffer, size_t size) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, buffer, size);
  close(fd);
  return length;
}
}  // namespace

pid_t threadGroupOf(pid_t tid) {
  char text[2048];
  ssize_t length = readProc(tid, "status", text, sizeof text - 1);
  if (length <= 0) return -1;
  text[length] = 0;
  // The name in the first line is the client's own choice, but newlines in it are escaped.
  const char* line = strstr(text, "\nTgid:");
  return line ? atoi(line + 6) : -1;
}

WordSize wordSize(pid_t tid) {
  uint64_t type;
  if (readProc(tid, "auxv", &type, sizeof type) != sizeof type) return WordSize::Unknown;
  // Two 32-bit words (a type, its value) read as one 64-bit word make a number far above any AT_ constant.
  return type < 1024 ? WordSize::Bits64 : WordSize::Bits32;
}
