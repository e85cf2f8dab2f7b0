#include "supervised-names.h"

#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>

#include "supervised-descriptor.h"
#include "supervised-files.h"
#include "supervision.h"

namespace {
// <tid>/fd/N, /proc/<pid>/fd/N
bool parse(const char* place, pid_t* pid, int* fd) {
  constexpr char prefix[] = "/proc/";
  bool absolute = strncmp(place, prefix, sizeof prefix - 1) == 0;
  int end = -1;
  if (absolute) place += sizeof prefix - 1;
  return isdigit(*place) && sscanf(place, "%d/fd/%d%n", pid, fd, &end) == 2 && end >= 0 && !place[end];
}

bool statTask(pid_t pid, const char* name, struct stat* result) {
  char path[48];
  snprintf(path, sizeof path, "%d%s", pid, name);
  return stat(path, result) == 0;
}

// As ptrace_may_access() would, as far as ids go; and the number means the same for both.
bool mayLookAt(pid_t looker, pid_t pid) {
  if (looker == pid) return true;
  struct stat mine, theirs, own, namespaceOf;
  if (!statTask(looker, "", &mine) || !statTask(pid, "", &theirs)) return false;
  if (!statTask(looker, "/ns/pid", &namespaceOf) || !statTask(getpid(), "/ns/pid", &own)) return false;
  return namespaceOf.st_ino == own.st_ino && (mine.st_uid == 0 || mine.st_uid == theirs.st_uid);
}
}  // namespace

bool findNameless(const Task& task, const char* place, char (&name)[kNameRoom]) {
  pid_t pid;
  int fd;
  if (!parse(place, &pid, &fd) || !mayLookAt(task.tid(), pid)) return false;
  Descriptor file(copyOf(pid, fd));
  struct stat found;
  bool device = file.get() >= 0 && fstat(file.get(), &found) == 0 && isOwnFilesystem(found.st_dev) &&
                (found.st_ino & kDeviceInode);
  return device && ioctl(file.get(), kNameOf, name) > 0;
}

void answerReadlink(Notification& call) {
  bool at = call.data.nr == SYS_readlinkat;
  int first = at ? 1 : 0;
  int directory = at ? call.descriptor(0) : AT_FDCWD;
  char path[PATH_MAX], place[kPathRoom], name[kNameRoom];
  if (!call.task.readString(call.argument(first), path, sizeof path)) return call.goOn();
  // Most links are none of descriptors.
  size_t length = strlen(path);
  auto room = static_cast<int>(call.argument(first + 2));
  if (length == 0 || !isdigit(path[length - 1]) || room <= 0) return call.goOn();
  bool found = call.task.place(directory, path, place, sizeof place) && findNameless(call.task, place, name);
  if (!found) return call.goOn();
  size_t given = std::min(strlen(name), static_cast<size_t>(room));
  if (!call.isWaiting() || !call.task.write(call.argument(first + 1), name, given)) return call.goOn();
  call.succeed(static_cast<int64_t>(given));
}
