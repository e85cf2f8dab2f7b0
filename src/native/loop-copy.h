// What the loop thread copies to or from a client's memory itself. The pages were there when it looked, but a client with two threads and a
// userfaultfd can take one away before the copy gets there, and Linux has no remote copy that does not fault: the daemon would wait for as long
// as the client likes. Only the death of that memory ends such a wait; so whoever makes the loop wait for five seconds is killed.
#pragma once

#include "process.h"

struct LoopCopySlot;

// While it lives, this thread is copying to or from the memory of `process`. Costs a few atomic stores.
class LoopCopy {
 public:
  // Null: memory that is mapped here, for which nobody has to answer.
  explicit LoopCopy(const Process* process);
  ~LoopCopy();
  LoopCopy(const LoopCopy&) = delete;
  LoopCopy& operator=(const LoopCopy&) = delete;

 private:
  LoopCopySlot* slot_ = nullptr;
};
