#include "supervised-task.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifndef STATX_MNT_ID
#error "Linux headers before 5.8"
#endif

namespace {
constexpr uint64_t kPage = 4096;

int proc = -1;
int ownRoot = -1;
struct statx ownRootIdentity;

bool identify(const char* path, struct statx* root) {
  // Nobody is asked: a root on a file system of somebody's who sleeps must not stop us.
  return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, root) == 0;
}

bool isOwnRoot(const struct statx& root) {
  return root.stx_mnt_id == ownRootIdentity.stx_mnt_id && root.stx_ino == ownRootIdentity.stx_ino;
}

bool enterRoot(int root) {
  bool entered = fchdir(root) == 0 && chroot(".") == 0;
  return fchdir(proc) == 0 && entered;
}

// Paths that lead through /proc/self, by the names everybody uses. It would be this process's own.
struct SelfName {
  const char* prefix;
  const char* below;  // of /proc/<tid>
};
constexpr SelfName kSelfNames[] = {
    {"/proc/self/", ""}, {"/proc/thread-self/", ""}, {"/dev/fd/", "fd/"},
};

// setfsuid(2) and setfsgid(2) are per thread and return no error; asking for the impossible says what is.
bool setFileUser(uid_t user) {
  syscall(SYS_setfsuid, user);
  return static_cast<uid_t>(syscall(SYS_setfsuid, -1)) == user;
}
bool setFileGroup(gid_t group) {
  syscall(SYS_setfsgid, group);
  return static_cast<gid_t>(syscall(SYS_setfsgid, -1)) == group;
}

// The supplementary groups of a task, from /proc/<tid>/status. -1 when it is gone.
int groupsOf(pid_t tid, gid_t* groups, int most) {
  char path[32], text[4096];
  snprintf(path, sizeof path, "%d/status", tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return -1;
  text[length] = 0;
  const char* line = strstr(text, "\nGroups:");
  if (!line) return -1;
  int count = 0;
  char* next;
  for (line += 8; *line != '\n' && count < most; line = next) {
    unsigned long group = strtoul(line, &next, 10);
    if (next == line) break;
    groups[count++] = static_cast<gid_t>(group);
    while (*next == ' ' || *next == '\t') next++;
  }
  return count;
}
}  // namespace

bool prepareViews() {
  proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  ownRoot = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return proc >= 0 && ownRoot >= 0 && fchdir(proc) == 0 && identify("/", &ownRootIdentity);
}

// A new thread shares root and directory with the one that started it, which may by now be in another task's root: only where chroot(2) is
// allowed (CAP_SYS_CHROOT), so that it is here, too.
bool prepareThread() {
  struct statx root;
  if (unshare(CLONE_FS) != 0 || !identify("/", &root)) return false;
  return isOwnRoot(root) ? fchdir(proc) == 0 : enterRoot(ownRoot);
}

bool Task::readString(uint64_t address, char* text, size_t size) const {
  size_t used = 0;
  while (used < size) {
    // To the end of the page, behind which nothing needs to be; most paths are short.
    size_t length = std::min<size_t>({kPage - (address + used) % kPage, size - used, used == 0 ? 256 : kPage});
    iovec here{text + used, length}, there{reinterpret_cast<void*>(address + used), length};
    ssize_t read = process_vm_readv(tid_, &here, 1, &there, 1, 0);
    if (read <= 0) return false;
    if (memchr(text + used, 0, static_cast<size_t>(read))) return true;
    used += static_cast<size_t>(read);
  }
  return false;
}

bool Task::write(uint64_t address, const void* bytes, size_t length) const {
  iovec here{const_cast<void*>(bytes), length}, there{reinterpret_cast<void*>(address), length};
  return process_vm_writev(tid_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(length);
}

bool Task::place(int directory, const char* path, char* text, size_t size) const {
  int length;
  if (*path == '/') {
    const char* below = nullptr;
    for (const SelfName& name : kSelfNames) {
      size_t prefix = strlen(name.prefix);
      if (strncmp(path, name.prefix, prefix) != 0) continue;
      below = name.below;
      path += prefix;
      break;
    }
    length = below ? snprintf(text, size, "%d/%s%s", tid_, below, path) : snprintf(text, size, "%s", path);
  } else {
    const char* slash = *path ? "/" : "";
    length = directory == AT_FDCWD ? snprintf(text, size, "%d/cwd%s%s", tid_, slash, path)
                                   : snprintf(text, size, "%d/fd/%d%s%s", tid_, directory, slash, path);
  }
  return length >= 0 && static_cast<size_t>(length) < size;
}

RootOf::RootOf(const Task& task) {
  char path[32];
  snprintf(path, sizeof path, "%d/root", task.tid());
  struct statx root;
  if (!identify(path, &root)) return;
  if (isOwnRoot(root)) {
    entered_ = true;
    return;
  }
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  changed_ = true;
  entered_ = enterRoot(fd);
  close(fd);
}

RootOf::~RootOf() {
  // A thread with a wrong root would answer wrongly for everybody.
  if (changed_ && !enterRoot(ownRoot)) abort();
}

RightsOf::RightsOf(const Task& task) {
  char path[16];
  snprintf(path, sizeof path, "%d", task.tid());
  struct stat directory;
  if (stat(path, &directory) < 0) return;
  // Effective ids (task_dump_owner()).
  if (directory.st_uid == geteuid()) {
    taken_ = true;
    return;
  }
  gid_t groups[256];
  int count = groupsOf(task.tid(), groups, 256);
  if (count < 0) return;
  changed_ = true;
  taken_ = syscall(SYS_setgroups, count, groups) == 0 && setFileGroup(directory.st_gid) &&
           setFileUser(directory.st_uid);
}

RightsOf::~RightsOf() {
  if (!changed_) return;
  bool back = setFileUser(geteuid()) && setFileGroup(getegid());
  if (!back || syscall(SYS_setgroups, 0, nullptr) < 0) abort();
}
