// A client process and its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "counts.h"
#include "maps.h"

enum class Residency {
  Resident,
  Absent,      // touching it may sleep
  Impossible,  // no such address
};

class Process {
 public:
  // By pidfd on the thread-group leader of `tid`. Null, and errno (ESRCH), on failure.
  static std::shared_ptr<Process> open(pid_t tid);
  ~Process();

  const pid_t pid;
  const int pidfd;

  // Whether the pidfd says so: a zombie is not alive, and as long as this is true `pid` means this very
  // process.
  bool alive() const;
  bool hasThread(pid_t tid) const;

  // Whether [address, +length) can be read (or written) without sleeping. Loop only: it keeps the pagemap
  // open.
  Residency residency(uint64_t address, size_t length, bool write);

  // The VMA that `address` lies in: 0, or an errno as of queryVma(). Loop only.
  int vmaAt(uint64_t address, Vma* result);

  // Copy all of it, faulting pages in, and say 0 or an errno: EFAULT for addresses that are not there,
  // processes that are gone.
  int read(uint64_t address, void* target, size_t length) const;
  int write(uint64_t address, const void* source, size_t length) const;
  // For the thread that waits for the present turn: its number is enough, whoever has it.
  static int readWaiting(pid_t tid, uint64_t address, void* target, size_t length);
  static int writeWaiting(pid_t tid, uint64_t address, const void* source, size_t length);

 private:
  Process(pid_t pid, int pidfd) : pid(pid), pidfd(pidfd) {}
  ssize_t readPagemap(uint64_t firstPage, uint64_t* entries, size_t pages);

  int pagemap_ = -1;
  int maps_ = -1;
  // The last page looked at, and in which turn.
  uint64_t pageTurn_ = 0;
  uint64_t page_ = 0;
  uint64_t entry_ = 0;
  Counted counted_{counts.processes};
};
