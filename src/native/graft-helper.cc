// vfiofs-graft TID: traces one thread for the daemon. A process of its own, because the stops of a tracee are
// reported to waitpid() of any thread of its tracer, and libuv, which waits for the children of Node, would
// take one for the end of a child. It also outlives a killed daemon for long enough to put the client's
// registers back.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "graft-protocol.h"
#include "tracee.h"

namespace {
constexpr long kCloseRange = 436;

bool answer(int value) {
  GraftAnswer answer{value};
  return send(kGraftSocket, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer;
}

// Waits for a command, and reaps the tracee if it dies meanwhile: its process could not end otherwise. False:
// the daemon has let go.
bool receive(Tracee& tracee, int signals, GraftCommand* command) {
  for (;;) {
    tracee.observe();
    pollfd polls[2] = {{kGraftSocket, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(polls, 2, -1) < 0 && errno != EINTR) return false;
    signalfd_siginfo signal;
    if (polls[1].revents && read(signals, &signal, sizeof signal) < 0) return false;
    if (polls[0].revents) return recv(kGraftSocket, command, sizeof *command, 0) == sizeof *command;
  }
}
}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  // What the daemon's process has open without FD_CLOEXEC is not ours. (Fails on kernels before 5.9: they
  // leave it open.)
  syscall(kCloseRange, kGraftSocket + 1, ~0u, 0);
  // Everything is blocked by the parent: a Ctrl-C in its terminal is not for us. What wakes us comes this
  // way.
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, nullptr);
  int signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
  Tracee tracee(atoi(arguments[1]));
  int seized = signals < 0 ? -errno : tracee.seize();
  bool told = answer(seized);
  if (seized < 0) return 0;
  GraftCommand command;
  while (told && receive(tracee, signals, &command)) {
    if (command.operation == GraftOperation::Openat) {
      told = answer(tracee.openat(command.fd, command.flags));
    } else if (command.operation == GraftOperation::Close) {
      told = answer(tracee.close(command.fd));
    } else {
      answer(tracee.finish(command.result));
      return 0;
    }
  }
  tracee.abandon();
  return 0;
}
