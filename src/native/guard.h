// Access to memory that somebody else can truncate: SIGBUS becomes a result.
#pragma once

#include <setjmp.h>

#include <atomic>
#include <cstddef>

// Installs the SIGBUS handler, once per process; a SIGBUS that is not ours goes to whoever handled it before.
void installGuard();

namespace guard {
// Where this thread continues after a SIGBUS; null outside `guarded`. initial-exec: a signal handler may not
// allocate TLS.
extern thread_local sigjmp_buf* landing __attribute__((tls_model("initial-exec")));
}  // namespace guard

// Runs `access`, which must not own anything (it is left by longjmp); false when it met SIGBUS. Not nested.
template <class Access>
__attribute__((noinline)) bool guarded(const Access& access) {
  sigjmp_buf landing;
  if (sigsetjmp(landing, 0) != 0) {
    guard::landing = nullptr;
    return false;
  }
  guard::landing = &landing;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  access();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  guard::landing = nullptr;
  return true;
}

// memmove; false (some of it copied) when either side ended.
bool guardedCopy(void* target, const void* source, size_t length);
