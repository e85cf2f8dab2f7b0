#include "supervise-start.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "seccomp.h"
#include "supervised-calls.h"
#include "supervision.h"

namespace {
// Under a supervised command there is a supervisor already, and the kernel allows no second one: it takes this host on, too. 0, or why it does not.
int haveTakenOn(const char* directory) {
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = ioctl(fd, kSuperviseThis) < 0 ? errno : 0;
  close(fd);
  return error;
}

// build/Release/vfiofs-supervise, beside this program.
bool findSupervisor(char* path, size_t size) {
  constexpr char name[] = "vfiofs-supervise";
  ssize_t length = readlink("/proc/self/exe", path, size - sizeof name);
  if (length < 0) return false;
  path[length] = 0;
  strcpy(strrchr(path, '/') + 1, name);
  return true;
}

// What we have in our user namespace stays the supervisor's, whatever the user is called there: executing a program would else take it away.
void keepCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) < 0) return;
  for (auto& word : data) word.inheritable = word.permitted;
  if (syscall(SYS_capset, &header, data) < 0) return;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

// In the clone: becomes the supervisor.
[[noreturn]] void becomeSupervisor(const char* path, const char* directory, int socket, int lifeline) {
  // Job control and a Ctrl-C are not for it; nor does it keep the command's input and output open.
  setsid();
  keepCapabilities();
  int nothing = open("/dev/null", O_RDWR);
  // Above what is about to be set, for neither to fall on the other.
  int high[2] = {fcntl(socket, F_DUPFD, 10), fcntl(lifeline, F_DUPFD, 10)};
  for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
  dup2(high[0], kListenerSocket);
  dup2(high[1] < 0 ? nothing : high[1], kLifeline);
  syscall(SYS_close_range, kLifeline + 1, ~0u, 0);
  char name[] = "vfiofs-supervise", place[PATH_MAX];
  strncpy(place, directory, sizeof place - 1);
  place[sizeof place - 1] = 0;
  char* arguments[] = {name, place, nullptr};
  execve(path, arguments, environ);
  _exit(127);
}

// A sibling of the command rather than its parent or child: waiting, job control and exit codes are as without it.
pid_t startSupervisor(const char* path, const char* directory, int socket, int lifeline) {
  auto pid = static_cast<pid_t>(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) becomeSupervisor(path, directory, socket, lifeline);
  return pid;
}

bool sendDescriptor(int socket, int fd) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

int startOwn(const char* directory, int lifeline, const char** what) {
  char path[PATH_MAX];
  *what = "supervisor";
  if (!findSupervisor(path, sizeof path)) return errno;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return errno;
  if (startSupervisor(path, directory, ends[1], lifeline) < 0) return errno;
  close(ends[1]);
  // Not before: the supervisor would have to answer its own calls.
  int listener = listenToOwnCalls();
  int error = listener < 0 ? -listener : 0;
  if (error) {
    *what = error == EBUSY ? "seccomp (somebody listens to our calls already: a container manager?)" : "seccomp";
  } else {
    char byte;
    bool serves = sendDescriptor(ends[0], listener) && recv(ends[0], &byte, 1, 0) == 1;
    close(listener);
    if (!serves) {
      *what = path;
      error = ENOEXEC;
    }
  }
  close(ends[0]);
  return error;
}
}  // namespace

int startSupervision(const char* directory, int lifeline, const char** what) {
  int error = haveTakenOn(directory);
  if (error == EACCES) *what = "the supervisor above must not look at a file system of a user namespace below its own";
  // Otherwise nobody of ours listens.
  bool alone = error && error != EACCES;
  if (alone) error = startOwn(directory, lifeline, what);
  // Whoever listens there need not worry that no supervisor of this command does.
  if (!alone || error) (void)!write(lifeline, kOver, sizeof kOver - 1);
  return error;
}
