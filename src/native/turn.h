// One request of the FUSE connection, from its delivery until its synchronous part is over. Its caller waits meanwhile, so what was found
// out about that process holds for the turn and need not be asked of the kernel again. Loop thread only.
#pragma once

#include <cstdint>

class Turn {
 public:
  Turn() { current_ = ++count_; }
  ~Turn() { current_ = 0; }
  // 0 outside of a turn: then nothing may be remembered.
  static uint64_t current() { return current_; }

 private:
  static inline uint64_t count_ = 0;
  static inline uint64_t current_ = 0;
};
