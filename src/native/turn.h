// One request of the FUSE connection, from its delivery until its synchronous part is over. Its caller waits meanwhile, so what was found
// out about that process holds for the turn and need not be asked of the kernel again. Loop thread only.
#pragma once

#include <sys/types.h>

#include <cstdint>

class Turn {
 public:
  // `caller` is the thread that waits.
  explicit Turn(pid_t caller) {
    current_ = ++count_;
    caller_ = caller;
  }
  ~Turn() {
    current_ = 0;
    caller_ = 0;
  }
  // Whether `tid` waits for the answer to this very request: its number can't be anybody else's.
  static bool isWaiting(pid_t tid) { return tid > 0 && tid == caller_; }
  // 0 outside of a turn: then nothing may be remembered.
  static uint64_t current() { return current_; }

 private:
  static inline uint64_t count_ = 0;
  static inline uint64_t current_ = 0;
  static inline pid_t caller_ = 0;
};
