#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "proc-file.h"
#include "turn.h"

namespace {
// x86-64 and the generic table agree on these; old headers lack them.
constexpr long kPidfdOpen = 434;

// /proc/<pid>/pagemap, fs/proc/task_mmu.c.
constexpr uint64_t kPresent = 1ull << 63;
constexpr uint64_t kFileOrShared = 1ull << 61;
constexpr uint64_t kWriteProtected = 1ull << 57;
constexpr uint64_t kPageSize = 4096;
constexpr size_t kMaxPages = 16;

// What an address means that GUP can't resolve is EFAULT; that its process has just gone is not the caller's
// business.
int memoryError(int error) { return error == ESRCH ? EFAULT : error; }

template <class Call>
int copyAll(const Call& call, pid_t pid, uint64_t address, void* local, size_t length) {
  auto* bytes = static_cast<uint8_t*>(local);
  while (length > 0) {
    iovec here{bytes, length};
    iovec there{reinterpret_cast<void*>(address), length};
    ssize_t copied = call(pid, &here, 1, &there, 1, 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) return memoryError(errno);
    if (copied == 0) return EFAULT;
    bytes += copied;
    address += static_cast<uint64_t>(copied);
    length -= static_cast<size_t>(copied);
  }
  return 0;
}
}  // namespace

std::shared_ptr<Process> Process::open(pid_t tid) {
  if (tid <= 0) {
    errno = ESRCH;
    return nullptr;
  }
  // Succeeds at once for a leader; without PIDFD_THREAD the kernel refuses other threads (EINVAL, or ENOENT
  // since 6.16).
  pid_t pid = tid;
  long pidfd = syscall(kPidfdOpen, pid, 0);
  if (pidfd < 0 && errno != ESRCH && errno != EMFILE && errno != ENFILE) {
    pid = threadGroupOf(tid);
    if (pid > 0) pidfd = syscall(kPidfdOpen, pid, 0);
    else errno = ESRCH;
  }
  if (pidfd < 0) return nullptr;
  std::shared_ptr<Process> process(new Process(pid, static_cast<int>(pidfd)));
  // The thread may have ended, and its number gone to another process, between the two.
  if (!process->hasThread(tid)) {
    errno = ESRCH;
    return nullptr;
  }
  return process;
}

Process::~Process() {
  close(pidfd);
  if (pagemap_ >= 0) close(pagemap_);
  if (maps_ >= 0) close(maps_);
}

int Process::vmaAt(uint64_t address, Vma* result) {
  // As with pagemap: once execve has replaced the address space, ESRCH.
  for (bool fresh = maps_ < 0;; fresh = true) {
    if (fresh) {
      if (maps_ >= 0) close(maps_);
      char path[32];
      snprintf(path, sizeof path, "/proc/%d/maps", pid);
      maps_ = ::open(path, O_RDONLY | O_CLOEXEC);
      if (maps_ < 0) return errno;
    }
    int error = queryVma(maps_, address, result);
    if (error != ESRCH || fresh) return error;
  }
}

bool Process::alive() const {
  pollfd poll{pidfd, POLLIN, 0};
  int ready;
  // A pending signal (SIGCHLD: each graft ends with one) interrupts even a poll that does not wait.
  do ready = ::poll(&poll, 1, 0);
  while (ready < 0 && errno == EINTR);
  return ready == 0;
}

// The leader's number is the process's as long as that lives.
bool Process::hasThread(pid_t tid) const {
  return tid > 0 && (tid == pid || syscall(SYS_tgkill, pid, tid, 0) == 0) && alive();
}

ssize_t Process::readPagemap(uint64_t firstPage, uint64_t* entries, size_t pages) {
  // An open pagemap belongs to the address space it was opened on, and reads 0 bytes once execve has replaced
  // that.
  for (bool fresh = pagemap_ < 0;; fresh = true) {
    if (fresh) {
      if (pagemap_ >= 0) close(pagemap_);
      char path[32];
      snprintf(path, sizeof path, "/proc/%d/pagemap", pid);
      pagemap_ = ::open(path, O_RDONLY | O_CLOEXEC);
      if (pagemap_ < 0) return -1;
    }
    auto offset = static_cast<off_t>(firstPage * sizeof *entries);
    ssize_t bytes = pread(pagemap_, entries, pages * sizeof *entries, offset);
    if (bytes != 0 || fresh) return bytes;
  }
}

Residency Process::residency(uint64_t address, size_t length, bool write) {
  if (length == 0) return Residency::Resident;
  uint64_t last;
  if (__builtin_add_overflow(address, length - 1, &last) || last >> 56 != 0) return Residency::Impossible;
  uint64_t first = address / kPageSize;
  size_t pages = static_cast<size_t>(last / kPageSize - first + 1);
  if (pages > kMaxPages) return Residency::Absent;
  uint64_t entries[kMaxPages];
  uint64_t turn = Turn::current();
  bool known = pages == 1 && turn != 0 && turn == pageTurn_ && first == page_;
  if (known) entries[0] = entry_;
  ssize_t bytes = known ? sizeof entries[0] : readPagemap(first, entries, pages);
  // Not allowed to see, or nothing there: let the thread find out what the copy itself says.
  if (bytes != static_cast<ssize_t>(pages * sizeof *entries)) return Residency::Absent;
  if (pages == 1) {
    pageTurn_ = turn;
    page_ = first;
    entry_ = entries[0];
  }
  for (size_t page = 0; page < pages; page++) {
    if (!(entries[page] & kPresent)) return Residency::Absent;
    // A store to a page of a file may mean page_mkwrite(), which waits for the file's server; a
    // write-protected one waits for a userfaultfd. An anonymous page costs at most an allocation.
    if (write && (entries[page] & (kFileOrShared | kWriteProtected))) return Residency::Absent;
  }
  return Residency::Resident;
}

int Process::read(uint64_t address, void* target, size_t length) const {
  int error = copyAll(process_vm_readv, pid, address, target, length);
  // Alive afterwards: then it was this process, not a successor of its number, that was read.
  if (error == 0 && !alive()) return EFAULT;
  return error;
}

int Process::write(uint64_t address, const void* source, size_t length) const {
  if (!alive()) return EFAULT;
  return copyAll(process_vm_writev, pid, address, const_cast<void*>(source), length);
}

int Process::readWaiting(pid_t tid, uint64_t address, void* target, size_t length) {
  return copyAll(process_vm_readv, tid, address, target, length);
}

int Process::writeWaiting(pid_t tid, uint64_t address, const void* source, size_t length) {
  return copyAll(process_vm_writev, tid, address, const_cast<void*>(source), length);
}
