// vfiofs-launch [--user UID GID] [STEP…] -- CMD ARG…: makes a mount namespace (with --user in a user namespace of its own, where it has
// these ids), mounts in it what the steps say, and becomes CMD. Descriptor 3 will be the /dev/fuse it mounts, for the daemon to copy when
// 4 says "ready"; it goes on when 4 answers. Exit codes as those of env(1): 125, 126, 127. 5, if it is open, is the supervisor's line to
// whoever started us.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host-filesystem.h"
#include "supervise-start.h"

namespace {
constexpr int kFuse = 3;
constexpr int kReady = 4;
constexpr int kLine = 5;
constexpr int kFailed = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

[[noreturn]] void fail(const std::string& what, int code = kFailed) {
  int error = errno;
  fprintf(stderr, "vfiofs-launch: %s: %s\n", what.c_str(), strerror(error));
  exit(code);
}

[[noreturn]] void usage(const std::string& what) {
  fprintf(stderr, "vfiofs-launch: %s\n", what.c_str());
  exit(kFailed);
}

// Opened here, because only who is in the user namespace of the opener may mount it (fuse_fill_super()).
bool openFuse() {
  int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  if (fd == kFuse) return true;
  bool moved = dup3(fd, kFuse, O_CLOEXEC) == kFuse;
  close(fd);
  return moved;
}

bool mountFuse(char** argument) {
  if (!openFuse()) return false;
  std::string data = "fd=" + std::to_string(kFuse);
  if (*argument[2]) data += std::string(",") + argument[2];
  return mount(argument[1], argument[0], kHostFilesystem, MS_NOSUID | MS_NODEV, data.c_str()) == 0;
}
bool bind(char** argument) { return mount(argument[0], argument[1], nullptr, MS_BIND, nullptr) == 0; }
bool bindAll(char** argument) { return mount(argument[0], argument[1], nullptr, MS_BIND | MS_REC, nullptr) == 0; }
bool makeDirectory(char** argument) { return mkdir(argument[0], 0755) == 0 || errno == EEXIST; }
bool mountTmpfs(char** argument) {
  return mount("tmpfs", argument[0], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") == 0;
}
bool move(char** argument) { return mount(argument[0], argument[1], nullptr, MS_MOVE, nullptr) == 0; }
bool unmount(char** argument) { return umount2(argument[0], MNT_DETACH) == 0; }
bool changeDirectory(char** argument) { return chdir(argument[0]) == 0; }
bool dieWithParent(char**) { return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; }

// Last of the steps: what comes after it is supervised. Going on without is better than not at all, if it is said.
bool supervise(char** argument) {
  const char* what = argument[0];
  int error = startSupervision(argument[0], kLine, &what);
  if (error) fprintf(stderr, "vfiofs-launch: not supervised: %s: %s\n", what, strerror(error));
  return true;
}

// From the answer on the connection is the daemon's alone: while we held it, too, its death would not end it.
bool sayReady(char**) {
  constexpr char text[] = "ready\n";
  if (write(kReady, text, sizeof text - 1) != sizeof text - 1) return false;
  char answer;
  ssize_t length = read(kReady, &answer, 1);
  int error = length == 0 ? ECONNABORTED : errno;
  close(kReady);
  close(kFuse);
  errno = error;
  return length == 1;
}

// Those that CMD was started to ignore (nohup(1)), bit n - 1 for signal n as in SigIgn of /proc/PID/status.
unsigned long long ignored = 0;
bool ignoreSignals(char** argument) {
  char* end;
  errno = EINVAL;
  ignored = strtoull(argument[0], &end, 16);
  return *end == 0;
}

bool writeFile(const char* path, const std::string& text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  int error = errno;
  close(fd);
  errno = error;
  return written;
}

// A user namespace in which we have the ids given, and all capabilities until the command is executed.
bool becomeUser(char** argument) {
  std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
  return unshare(CLONE_NEWUSER) == 0 && writeFile("/proc/self/setgroups", "deny") &&
         writeFile("/proc/self/uid_map", std::string(argument[0]) + " " + uid + " 1") &&
         writeFile("/proc/self/gid_map", std::string(argument[1]) + " " + gid + " 1");
}

struct Step {
  const char* option;
  int arguments;
  const char* joint;  // between the first two arguments, in messages
  bool (*run)(char** arguments);
};

// Only as the first of all: the mount namespace belongs to the user namespace it is made in.
constexpr Step kUser{"--user", 2, ":", becomeUser};

constexpr Step kSteps[] = {
    {"--fuse", 3, " from ", mountFuse},
    {"--bind", 2, " on ", bind},
    {"--rbind", 2, " on ", bindAll},
    {"--mkdir", 1, "", makeDirectory},
    {"--tmpfs", 1, "", mountTmpfs},
    {"--move", 2, " to ", move},
    {"--umount", 1, "", unmount},
    {"--ready", 0, "", sayReady},
    {"--chdir", 1, "", changeDirectory},
    {"--supervise", 1, "", supervise},
    {"--die-with-parent", 0, "", dieWithParent},
    {"--ignore", 1, "", ignoreSignals},
};

const Step& findStep(const char* option) {
  for (const Step& step : kSteps) {
    if (strcmp(step.option, option) == 0) return step;
  }
  usage(std::string("unknown option ") + option);
}

std::string describe(const Step& step, char** arguments) {
  std::string text = step.option + 2;
  if (step.arguments > 0) text += std::string(" ") + arguments[0];
  if (step.arguments > 1) text += std::string(step.joint) + arguments[1];
  return text;
}

// Node blocks and ignores signals (SIGPIPE) that its children should have as everybody, and forgets which it was started to ignore. Without glibc,
// whose posix_spawn(3) leaves two of its own ignored and which lets nobody near them.
void resetSignals() {
  for (int signal = 1; signal < NSIG; signal++) {
    // struct sigaction of the kernel: handler, flags, restorer, mask.
    void* action[4] = {reinterpret_cast<void*>(ignored >> (signal - 1) & 1 ? SIG_IGN : SIG_DFL)};
    syscall(SYS_rt_sigaction, signal, action, nullptr, sizeof action[3]);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}
}  // namespace

int main(int count, char** arguments) {
  // The whole line is understood before anything happens.
  int first = 1;
  if (count > 1 && strcmp(arguments[1], kUser.option) == 0) {
    if (count < 5) usage("--user needs more arguments");
    first += 1 + kUser.arguments;
  }
  int command = first;
  while (command < count && strcmp(arguments[command], "--") != 0) {
    const Step& step = findStep(arguments[command]);
    if (count - command - 1 < step.arguments) usage(std::string(step.option) + " needs more arguments");
    command += 1 + step.arguments;
  }
  if (command + 1 >= count) usage("no command; usage: vfiofs-launch [STEP...] -- COMMAND [ARGUMENT...]");

  if (first > 1 && !kUser.run(arguments + 2)) fail(describe(kUser, arguments + 2));
  if (unshare(CLONE_NEWNS) < 0) fail("unshare");
  // Nothing mounted here is seen outside; the last umount is the end of the namespace.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    // EINVAL: in a chroot the mount that the root lies on can't be named, and what is mounted here would be seen outside.
    fail(errno == EINVAL ? "make / private (a chroot? bind its root on itself before entering it)" : "make / private");
  }
  for (int index = first; index < command;) {
    const Step& step = findStep(arguments[index]);
    if (!step.run(arguments + index + 1)) fail(describe(step, arguments + index + 1));
    index += 1 + step.arguments;
  }
  close(kFuse);
  close(kReady);
  close(kLine);
  resetSignals();
  execvp(arguments[command + 1], arguments + command + 1);
  fail(arguments[command + 1], errno == ENOENT ? kNotFound : kNotExecutable);
}
