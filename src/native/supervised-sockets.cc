#include "supervised-sockets.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include "supervised-descriptor.h"
#include "supervised-files.h"
#include "supervision.h"

namespace {
// The network namespace that each pretend host's events are broadcast in, by the host's file system: made for the first socket, kept for good.
std::map<dev_t, int> networks;
std::mutex networksLock;

// Does something in a network namespace: in a thread that ends there, as who may enter one need not be allowed back. False when it can't be entered.
template <typename Work>
bool inNetwork(int network, Work work) {
  bool done = false;
  std::thread([&] {
    if (setns(network, CLONE_NEWNET) < 0) return;
    work();
    done = true;
  }).join();
  return done;
}

// The network namespace of a process that is made for it and ends at once; -1 with errno.
int newNetwork(int flags) {
  auto holder = static_cast<pid_t>(syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (holder < 0) return -1;
  if (holder == 0) {
    for (;;) syscall(SYS_pause);
  }
  char path[32];
  snprintf(path, sizeof path, "%d/ns/net", holder);
  int network = open(path, O_RDONLY | O_CLOEXEC);
  int error = errno;
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  errno = error;
  return network;
}

// The kernel broadcasts the real machine's events in all namespaces of the initial user namespace (uevent_net_init()): where only the pretend
// host's shall be heard, the namespace belongs to another. Where none can be had (user.max_user_namespaces), both are.
int networkFor(bool withReal) {
  int network = withReal ? -1 : newNetwork(CLONE_NEWUSER | CLONE_NEWNET);
  return network < 0 ? newNetwork(CLONE_NEWNET) : network;
}

// Has the daemon broadcast in `network` by a socket there, of which it takes a copy.
bool broadcastIn(int network, int sys) {
  bool taken = false;
  inNetwork(network, [&] {
    Descriptor sender(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    taken = sender.get() >= 0 && ioctl(sys, kBroadcastBy, sender.get()) == 0;
  });
  return taken;
}

// That of the pretend host whose /sys is `sys`. -1 when it can't be had.
int networkOf(dev_t host, int sys) {
  std::lock_guard<std::mutex> lock(networksLock);
  auto known = networks.find(host);
  if (known != networks.end()) return known->second;
  int network = networkFor(faccessat(sys, kRealBeside, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
  if (network < 0) return -1;
  if (!broadcastIn(network, sys)) {
    close(network);
    return -1;
  }
  networks.emplace(host, network);
  return network;
}

// The network namespace for who sees the /sys of a pretend host; -1 for anybody else.
int networkFor(const Task& task) {
  RootOf root(task);
  struct statx found;
  // Whatever else lies there need not be asked.
  if (!root.entered() || statx(AT_FDCWD, "/sys", AT_STATX_DONT_SYNC, STATX_INO, &found) < 0) return -1;
  dev_t host = makedev(found.stx_dev_major, found.stx_dev_minor);
  if (!isOwnFilesystem(host)) return -1;
  Descriptor sys(open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat opened;
  if (sys.get() < 0 || fstat(sys.get(), &opened) < 0 || opened.st_dev != host) return -1;
  return networkOf(host, sys.get());
}
}  // namespace

void answerSocket(Notification& call) {
  int network = networkFor(call.task);
  if (network < 0) return call.goOn();
  int type = call.descriptor(1), fd = -1, error = 0;
  bool entered = inNetwork(network, [&] {
    RightsOf rights(call.task);
    fd = socket(AF_NETLINK, type, NETLINK_KOBJECT_UEVENT);
    error = errno;
  });
  if (!entered) return call.goOn();
  Descriptor made(fd);
  if (fd < 0) return call.fail(error);
  if (call.give(fd, true, type & SOCK_CLOEXEC ? O_CLOEXEC : 0) < 0) call.fail(errno);
}
