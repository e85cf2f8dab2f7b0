// vfiofs-supervise DIRECTORY: answers the trapped calls of a command and its children (seccomp_unotify(2)). The file system of DIRECTORY is the
// pretend host's. A process of its own, because its threads look at files of that file system, which the daemon's must never do. Lives as
// long as there is anybody to supervise, even when the daemon is dead: the command's children would else find no stat(2) any more (ENOSYS).
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "descriptor-message.h"
#include "notification.h"
#include "seccomp.h"
#include "supervised-files.h"
#include "supervised-ioctls.h"
#include "supervised-names.h"
#include "supervised-sockets.h"
#include "supervision.h"

namespace {
// Threads that wait for a call, beyond which one that has answered ends: each call wakes all of them.
constexpr int kIdleKept = 2;
// Calls can wait for file systems of processes that are themselves supervised: there must be another thread for those. Far above what programs
// do, and a bound all the same.
constexpr int kMostThreads = 1024;

int listener = -1;
size_t noticeSize;
std::atomic<int> idle{0};
std::atomic<int> threads{0};

[[noreturn]] void giveUp(const char* what) {
  dprintf(kLifeline, "%s: %s\n", what, strerror(errno));
  _exit(1);
}

struct Row {
  int number;
  void (*answer)(Notification& call);
};

constexpr Row kRows[] = {
    {SYS_stat, answerStat},     {SYS_lstat, answerStat},   {SYS_fstat, answerStat},
    {SYS_newfstatat, answerStat}, {SYS_statx, answerStat},   {SYS_statfs, answerStatfs},
    {SYS_fstatfs, answerStatfs},  {SYS_ioctl, answerIoctl},    {SYS_socket, answerSocket},
    {SYS_readlink, answerReadlink}, {SYS_readlinkat, answerReadlink},
};

void answer(Notification& call) {
  for (const Row& row : kRows) {
    if (row.number == call.data.nr) return row.answer(call);
  }
  call.goOn();
}

// Until its call has been taken, a caller can be interrupted by a signal, which a stat(2) never is (EINTR, unless the handler has SA_RESTART): so
// calls are taken before anything else runs. False where that is not for us (CAP_SYS_NICE).
bool comeFirst() {
  sched_param lowest{1};
  return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0;
}

// POLLHUP: the last task with the filter is gone.
void endWhenOver(int patience) {
  pollfd listening{listener, 0, 0};
  if (poll(&listening, 1, patience) <= 0) return;
  static std::atomic<bool> told{false};
  while (told.exchange(true)) pause();  // the other thread ends the process
  // Nobody may be there to hear it.
  (void)!write(kLifeline, kOver, sizeof kOver - 1);
  _exit(0);
}

void startThread();

void serve() {
  comeFirst();
  if (!prepareThread()) giveUp("unshare");
  auto buffer = std::make_unique<char[]>(noticeSize);
  auto* notice = reinterpret_cast<seccomp_notif*>(buffer.get());
  do {
    memset(buffer.get(), 0, noticeSize);
    // ENOENT: the caller was killed before we got to it, or nobody is left who could call.
    while (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notice) < 0) {
      if (errno != EINTR && errno != ENOENT) giveUp("SECCOMP_IOCTL_NOTIF_RECV");
      endWhenOver(0);
      memset(buffer.get(), 0, noticeSize);
    }
    if (idle.fetch_sub(1) == 1) startThread();
    Notification call(listener, *notice);
    answer(call);
  } while (idle.fetch_add(1) < kIdleKept);
  idle--;
  threads--;
}

void startThread() {
  if (threads.fetch_add(1) >= kMostThreads) {
    threads--;
    return;
  }
  idle++;
  std::thread(serve).detach();
}

int receiveListener() {
  int fd = receiveDescriptor(kListenerSocket, 0);
  // Nothing comes when the launcher has no filter to be supervised by: it says so itself.
  if (fd < 0) _exit(0);
  return fd;
}

void prepare(const char* directory) {
  signal(SIGPIPE, SIG_IGN);
  struct stat host;
  if (stat(directory, &host) < 0) giveUp(directory);
  addOwnFilesystem(host.st_dev);
  if (!prepareViews()) giveUp("/proc");
  seccomp_notif_sizes sizes;
  if (seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0) giveUp("seccomp");
  noticeSize = std::max<size_t>(sizes.seccomp_notif, sizeof(seccomp_notif));
}
}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  prepare(arguments[1]);
  listener = receiveListener();
  // Otherwise, as the caller sleeps, a thread of ours had best take over its processor. (Refused before Linux 6.6.)
  if (!comeFirst()) ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  startThread();
  (void)!write(kLifeline, kServing, sizeof kServing - 1);
  if (send(kListenerSocket, "", 1, MSG_NOSIGNAL) != 1) return 0;
  close(kListenerSocket);
  // A kernel before 6.11 leaves the threads asleep when all is over.
  for (;;) endWhenOver(-1);
}
