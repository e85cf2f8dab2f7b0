#include "supervised-ioctls.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "supervised-descriptor.h"
#include "supervised-files.h"
#include "supervision.h"

namespace {
bool isOwn(int fd) {
  struct stat file;
  return fd >= 0 && fstat(fd, &file) == 0 && isOwnFilesystem(file.st_dev);
}

// A pretend host inside the one we are of (a nested `vfiofs run`): its launcher asks by this.
void superviseThis(Notification& call) {
  char place[64];
  struct stat directory;
  struct statfs filesystem;
  if (!call.task.place(call.descriptor(0), "", place, sizeof place)) return call.goOn();
  // Of a user namespace below ours (fuse_allow_current_process()).
  if (stat(place, &directory) < 0) return errno == EACCES ? call.fail(EACCES) : call.goOn();
  bool ours = statfs(place, &filesystem) == 0 && filesystem.f_type == FUSE_SUPER_MAGIC && call.isWaiting();
  if (!ours) return call.goOn();
  addOwnFilesystem(directory.st_dev);
  call.succeed(0);
}

// Opens what the daemon has promised, and gives it to the caller.
void install(Notification& call, int file, const ActFor& act) {
  char path[32];
  snprintf(path, sizeof path, "self/fd/%d", file);
  Descriptor opened(open(path, static_cast<int>(act.flags) | O_CLOEXEC));
  int error = opened.get() < 0 ? errno : 0;
  long given = error ? -1 : call.give(opened.get(), !act.delivers, O_CLOEXEC);
  if (!error && given < 0) error = errno;
  if (!error && !act.delivers) return;
  int result = 0;
  // The daemon tells the caller the number by itself, or takes its promise back.
  if (error || act.delivers) result = ioctl(file, kDeliver, error ? -static_cast<long>(error) : given);
  if (!error && result < 0) error = errno;
  if (error) return call.fail(error);
  call.succeed(result);
}
}  // namespace

void answerIoctl(Notification& call) {
  auto command = static_cast<unsigned>(call.argument(1));
  if (command == kSuperviseThis) return superviseThis(call);
  // The file is held by a descriptor of ours while the caller waits, whatever its other threads close.
  Descriptor file(copyOf(call.task.tid(), call.descriptor(0)));
  if (!isOwn(file.get()) || !call.isWaiting()) return call.goOn();
  ActFor act{};
  act.tid = static_cast<uint32_t>(call.task.tid());
  act.command = command;
  act.argument = call.argument(2);
  if (ioctl(file.get(), kActFor, &act) < 0) return call.fail(errno);
  if (act.opens) return install(call, file.get(), act);
  call.succeed(act.result);
}
