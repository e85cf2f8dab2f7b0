// One thread of a client under ptrace: waits in an ioctl, is made to open a file, and goes on as if the ioctl
// had returned it.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstddef>
#include <cstdint>

class Tracee {
 public:
  explicit Tracee(pid_t tid) : tid_(tid) {}

  // PTRACE_SEIZE and PTRACE_INTERRUPT: the thread will stop before it returns from its system call. 0 or
  // -errno.
  int seize();
  // Waits for that stop and runs openat(AT_FDCWD, "/proc/self/fd/<fd>", flags) in the thread: its result.
  int openat(int fd, int flags);
  // The same with close(fd).
  int close(int fd);
  // Waits for the stop, makes `result` the result of the interrupted ioctl and lets the thread go. 0 or
  // -errno.
  int finish(int64_t result);
  // The same when nobody is left to say a result: EINTR, unless the ioctl failed by itself.
  void abandon();
  // Takes notice, without waiting, of a stop or of the end.
  void observe() { wait(false); }

 private:
  enum class State { Running, Stopped, Gone };

  void wait(bool block);
  bool stopped();
  int prepare();
  int blockSignals();
  int writePath(int fd);
  int restore();
  int run(long number, uint64_t first, uint64_t second, uint64_t third);
  int nextSyscallStop();
  int detach(int signal);
  int stopSignal() const;

  const pid_t tid_;
  State state_ = State::Running;
  int status_ = 0;
  bool prepared_ = false;
  user_regs_struct registers_{};  // as the ioctl left them
  uint64_t signalMask_ = 0;
  uint64_t pathAddress_ = 0;
  unsigned char underPath_[32] = {};
};
