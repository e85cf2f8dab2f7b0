#include "supervised-files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <atomic>
#include <cerrno>

#include "seccomp.h"
#include "supervised-names.h"
#include "supervision.h"

namespace {
constexpr int kMostFilesystems = 64;
std::atomic<uint64_t> filesystems[kMostFilesystems];

constexpr int kStatFlags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;

// What is asked about, whichever of the calls asks.
struct Question {
  int directory = AT_FDCWD;
  uint64_t path = 0;  // 0: the descriptor `directory` itself
  int flags = 0;
  unsigned mask = 0;
  uint64_t answer = 0;
};

Question questionOf(const Notification& call) {
  Question question;
  switch (call.data.nr) {
    case SYS_lstat:
      question.flags = AT_SYMLINK_NOFOLLOW;
      [[fallthrough]];
    case SYS_stat:
    case SYS_statfs:
      question.path = call.argument(0);
      question.answer = call.argument(1);
      break;
    case SYS_fstat:
    case SYS_fstatfs:
      question.directory = call.descriptor(0);
      question.flags = AT_EMPTY_PATH;
      question.answer = call.argument(1);
      break;
    case SYS_newfstatat:
      question.directory = call.descriptor(0);
      question.path = call.argument(1);
      question.answer = call.argument(2);
      question.flags = call.descriptor(3);
      break;
    case SYS_statx:
      question.directory = call.descriptor(0);
      question.path = call.argument(1);
      question.flags = call.descriptor(2);
      question.mask = static_cast<unsigned>(call.argument(3));
      question.answer = call.argument(4);
  }
  return question;
}

// Where the file is for us, and how to look at it: flags for (AT_FDCWD, place). False: the kernel shall say what is wrong with it.
bool locate(const Task& task, const Question& question, char* place, int* flags) {
  if (question.flags & ~kStatFlags) return false;
  char path[PATH_MAX] = "";
  // Since Linux 6.11 a null path is an empty one.
  if (question.path && !task.readString(question.path, path, sizeof path)) return false;
  if (!*path && !(question.flags & AT_EMPTY_PATH)) return false;
  *flags = question.flags & ~AT_EMPTY_PATH;
  // /proc/<tid>/fd/N is a link: the descriptor is where it leads.
  if (!*path) *flags &= ~AT_SYMLINK_NOFOLLOW;
  return task.place(question.directory, path, place, kPathRoom);
}

// st_ino of a file of ours; false for any other.
bool findOwn(const char* place, int flags, uint64_t* inode) {
  struct statx found;
  // What is not ours need not be up to date.
  int cached = (flags & ~AT_STATX_SYNC_TYPE) | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (statx(AT_FDCWD, place, cached, STATX_INO, &found) < 0) return false;
  *inode = found.stx_ino;
  return isOwnFilesystem(makedev(found.stx_dev_major, found.stx_dev_minor));
}

bool statAsDevice(const char* place, int flags, const Question& question, const Notification& call) {
  if (call.data.nr == SYS_statx) {
    struct statx answer;
    if (statx(AT_FDCWD, place, flags, question.mask, &answer) < 0) return false;
    answer.stx_mode = static_cast<uint16_t>((answer.stx_mode & ~S_IFMT) | S_IFCHR);
    answer.stx_rdev_major = inodeMajor(answer.stx_ino);
    answer.stx_rdev_minor = inodeMinor(answer.stx_ino);
    return call.isWaiting() && call.task.write(question.answer, &answer, sizeof answer);
  }
  // The layout of x86-64 is the same for the kernel and the C library.
  struct stat answer;
  if (fstatat(AT_FDCWD, place, &answer, flags & ~AT_STATX_SYNC_TYPE) < 0) return false;
  answer.st_mode = (answer.st_mode & ~static_cast<mode_t>(S_IFMT)) | S_IFCHR;
  answer.st_rdev = makedev(inodeMajor(answer.st_ino), inodeMinor(answer.st_ino));
  return call.isWaiting() && call.task.write(question.answer, &answer, sizeof answer);
}

// A file without a path has the inode that all of them share (anon_inode_getfile()), as any eventfd has it.
bool statAsNameless(const Question& question, const Notification& call) {
  static const int any = eventfd(0, EFD_CLOEXEC);
  if (call.data.nr == SYS_statx) {
    struct statx answer;
    if (statx(any, "", AT_EMPTY_PATH, question.mask, &answer) < 0) return false;
    return call.isWaiting() && call.task.write(question.answer, &answer, sizeof answer);
  }
  struct stat answer;
  if (fstat(any, &answer) < 0) return false;
  return call.isWaiting() && call.task.write(question.answer, &answer, sizeof answer);
}

// Has `answer` answer about a file of ours whose st_ino has all bits of `wanted`, in the task's root and with its rights; any other
// file is the kernel's. Whatever goes wrong here goes wrong for the caller, too, and with the right errno.
template <typename Answer>
void answerOwn(Notification& call, Answer answer, uint64_t wanted) {
  Question question = questionOf(call);
  char place[kPathRoom];
  int flags;
  bool answered = false;
  if (locate(call.task, question, place, &flags)) {
    RootOf root(call.task);
    uint64_t inode;
    if (root.entered() && findOwn(place, flags, &inode) && (inode & wanted) == wanted) {
      RightsOf rights(call.task);
      answered = rights.taken() && answer(question, place, flags);
    }
  }
  if (answered) return call.succeed(0);
  call.goOn();
}
}  // namespace

void addOwnFilesystem(dev_t device) {
  if (isOwnFilesystem(device)) return;
  for (auto& entry : filesystems) {
    uint64_t none = 0;
    if (entry.compare_exchange_strong(none, device)) return;
  }
}

bool isOwnFilesystem(dev_t device) {
  for (const auto& entry : filesystems) {
    uint64_t own = entry.load(std::memory_order_relaxed);
    if (own == device) return true;
    if (own == 0) return false;
  }
  return false;
}

// The kernel's own answer is right for all but the files that stand for devices.
void answerStat(Notification& call) {
  answerOwn(call, [&call](const Question& question, const char* place, int flags) {
    char name[kNameRoom];
    bool followed = !(flags & AT_SYMLINK_NOFOLLOW);
    if (followed && findNameless(call.task, place, name)) return statAsNameless(question, call);
    return statAsDevice(place, flags, question, call);
  }, kDeviceInode);
}

void answerStatfs(Notification& call) {
  answerOwn(call, [&call](const Question& question, const char* place, int) {
    struct statfs answer;
    if (statfs(place, &answer) < 0 || !answer.f_ffree) return false;
    // The daemon's word for what the file system at this place is (src/transports/fuse/encode.ts).
    answer.f_type = static_cast<long>(answer.f_ffree);
    answer.f_ffree = 0;
    return call.isWaiting() && call.task.write(question.answer, &answer, sizeof answer);
  }, 0);
}
