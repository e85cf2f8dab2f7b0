// Copies of descriptors of tasks.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc-file.h"

constexpr unsigned kThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(static_cast<int>(fd)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Another descriptor of the file that the task means by `fd`; -1 when there is none.
inline long copyOf(pid_t tid, int fd) {
  Descriptor thread(syscall(SYS_pidfd_open, tid, kThread));
  if (thread.get() >= 0) return syscall(SYS_pidfd_getfd, thread.get(), fd, 0);
  Descriptor process(syscall(SYS_pidfd_open, threadGroupOf(tid), 0));
  return process.get() < 0 ? -1 : syscall(SYS_pidfd_getfd, process.get(), fd, 0);
}
