// /proc/<pid>/maps: what lies in a client's address space, and which of it is plain shared memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

struct Vma {
  uint64_t start;
  uint64_t end;
  bool readable;
  bool writable;
  bool shared;
  uint64_t offset;  // of `start` in the file
  dev_t device;
  uint64_t inode;

  // Whether `next` is the same file going on.
  bool continuedBy(const Vma& next) const {
    return end == next.start && shared == next.shared && device == next.device && inode == next.inode &&
           offset + (end - start) == next.offset;
  }
};

// The VMAs that meet [start, end), in order; 0 or an errno.
int readVmas(pid_t pid, uint64_t start, uint64_t end, std::vector<Vma>* result);

// The VMA that `address` lies in, asked of the kernel by `maps`, a descriptor of /proc/<pid>/maps (PROCMAP_QUERY, Linux
// 6.11): quick however many there are. 0 or an errno: ENOENT for a hole, ESRCH when the address space is gone, ENOTTY
// from older kernels.
int queryVma(int maps, uint64_t address, Vma* result);

// Whether `device` is one of the kernel-internal mounts behind memfd and anonymous shared memory, which are the same for
// every process.
bool isInternalMemory(dev_t device);

// Tells the file systems of a client's mappings apart. By device number, since names are the client's to choose.
class MappedFilesystems {
 public:
  explicit MappedFilesystems(pid_t pid);
  // tmpfs and hugetlbfs, whose files any thread may open and map without waiting for anybody. No other is ever
  // even opened: it could be a file of this daemon's own mount.
  bool isMemory(dev_t device) const;
  // A pretend host's, of which only device memory can be mapped.
  bool isHost(dev_t device);

 private:
  void learn(pid_t pid);

  std::vector<dev_t> memory_;
  std::vector<dev_t> hosts_;
  bool ownLearnt_ = false;
};
