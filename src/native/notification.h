// One trapped call, which is answered once.
#pragma once

#include <linux/seccomp.h>

#include "supervised-task.h"

class Notification {
 public:
  Notification(int listener, const seccomp_notif& notice)
      : listener_(listener), id_(notice.id), data(notice.data), task(static_cast<pid_t>(notice.pid)) {}

 private:
  int listener_;
  uint64_t id_;

 public:
  const seccomp_data& data;
  const Task task;

  uint64_t argument(int index) const { return data.args[index]; }
  int descriptor(int index) const { return static_cast<int>(data.args[index]); }

  // The kernel carries the call out, as if nobody had looked.
  void goOn() const;
  void succeed(int64_t result) const;
  void fail(int error) const;
  // Gives the caller a descriptor of the file behind `fd`, with O_CLOEXEC or without, which answers the call if it is the `result`. Returns its
  // number there; -1 with errno when its table is full, or it is gone.
  long give(int fd, bool result, int flags) const;

  // The thread still waits: its number is nobody else's, and what was read from its memory is its own.
  bool isWaiting() const;
};
