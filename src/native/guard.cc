#include "guard.h"

#include <signal.h>

#include <cstring>
#include <mutex>

namespace guard {
thread_local sigjmp_buf* landing = nullptr;
}

namespace {
struct sigaction before;

void onBusError(int signal, siginfo_t* info, void* context) {
  // si_code > 0: raised by the kernel for an access of this very thread, not sent by kill().
  if (guard::landing && info->si_code > 0) siglongjmp(*guard::landing, 1);
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The access repeats when the handler returns, and then has its default end. One that was sent is sent
    // again.
    sigaction(signal, &before, nullptr);
    if (info->si_code <= 0) raise(signal);
  }
}
}  // namespace

void installGuard() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = onBusError;
    // SA_NODEFER: the handler is left by a jump that does not restore the mask.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigaction(SIGBUS, &action, &before);
  });
}

bool guardedCopy(void* target, const void* source, size_t length) {
  return guarded([=] { memmove(target, source, length); });
}
