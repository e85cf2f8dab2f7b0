#include "pin.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "loop-copy.h"
#include "maps.h"

namespace {
constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kTmpfsMagic = 0x01021994;
constexpr uint64_t kHugetlbfsMagic = 0x958458f6;
// A process may have 65530 mappings (vm.max_map_count), the daemon too: what a client splits finer is reached
// by process_vm_*.
constexpr int kMostMappings = 16384;
constexpr size_t kMostParts = 1024;

uint64_t pageFloor(uint64_t address) { return address & ~(kPageSize - 1); }

struct Window {
  std::shared_ptr<Mapping> mapping;
  uint8_t* data;
};

// Whether `fd` is in tmpfs or hugetlbfs; then also the unit that can be mapped: hugetlbfs maps whole huge pages only.
bool isMemory(int fd, uint64_t* unit) {
  struct statfs system;
  if (fstatfs(fd, &system) != 0) return false;
  auto magic = static_cast<uint64_t>(static_cast<uint32_t>(system.f_type));
  *unit = magic == kHugetlbfsMagic ? static_cast<uint64_t>(system.f_bsize) : kPageSize;
  return magic == kTmpfsMagic || magic == kHugetlbfsMagic;
}

// Maps [offset, +length) of `fd`; null, and errno, on failure.
Window mapFile(int fd, uint64_t offset, uint64_t length, uint64_t unit, bool write) {
  uint64_t first = offset / unit * unit;
  uint64_t last = (offset + length + unit - 1) / unit * unit;
  Window window{};
  window.mapping = Mapping::create(fd, first, last - first, write ? PROT_READ | PROT_WRITE : PROT_READ);
  if (window.mapping) window.data = window.mapping->data + (offset - first);
  return window;
}

// Maps [start, end) of the file that begins at `vma`, or says no.
Window mapWindow(const Process& process, const Vma& vma, uint64_t start, uint64_t end, bool write) {
  char path[96];
  snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", process.pid, vma.start, vma.end);
  int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return {};
  struct stat status;
  uint64_t unit;
  Window window{};
  // The client may have mapped something else there since its maps were read.
  bool same = fstat(fd, &status) == 0 && status.st_dev == vma.device && status.st_ino == vma.inode;
  if (same && isMemory(fd, &unit) && process.alive()) {
    window = mapFile(fd, vma.offset + (start - vma.start), end - start, unit, write);
  }
  close(fd);
  return window;
}

// Faults all of a window in, as pinning would: the first DMA then costs what every DMA costs. EFAULT where
// the file ends early (MADV_POPULATE_WRITE, Linux 5.14; before that the pages come with the first touch, and
// the end of the file is found there).
int populate(const Window& window, uint64_t length, bool write) {
  constexpr int kPopulateRead = 22;
  constexpr int kPopulateWrite = 23;
  auto first = reinterpret_cast<uint8_t*>(pageFloor(reinterpret_cast<uint64_t>(window.data)));
  size_t size = static_cast<size_t>(window.data + length - first);
  if (madvise(first, size, write ? kPopulateWrite : kPopulateRead) == 0 || errno == EINVAL) return 0;
  return errno == ENOMEM ? ENOMEM : EFAULT;
}

// Makes every page of [start, end) writable without changing it: process_vm_writev pins the pages before it
// looks at its source, which can't be read here (process_vm_rw_single_vec()). 0, or ESRCH and the like; what
// can't be pinned shows in the read that follows.
int touchForWrite(pid_t pid, uint64_t start, uint64_t end) {
  constexpr size_t kWindow = 1024 * kPageSize;  // PVM_MAX_KMALLOC_PAGES full of page pointers
  static void* const unreadable = mmap(nullptr, kWindow, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (uint64_t at = pageFloor(start); at < end; at += kWindow) {
    size_t length = std::min<uint64_t>(kWindow, end - at);
    iovec here{unreadable, length};
    iovec there{reinterpret_cast<void*>(at), length};
    if (process_vm_writev(pid, &here, 1, &there, 1, 0) < 0 && errno != EFAULT) return errno;
  }
  return 0;
}

// Reads one byte of every page.
int touchForRead(pid_t pid, uint64_t start, uint64_t end) {
  constexpr size_t kMany = 1024;  // UIO_MAXIOV
  std::vector<iovec> there;
  uint8_t bytes[kMany];
  for (uint64_t at = start; at < end;) {
    there.clear();
    for (; at < end && there.size() < kMany; at = pageFloor(at) + kPageSize) {
      there.push_back({reinterpret_cast<void*>(at), 1});
    }
    iovec here{bytes, there.size()};
    ssize_t length = process_vm_readv(pid, &here, 1, there.data(), there.size(), 0);
    if (length < 0) return errno;
    if (static_cast<size_t>(length) < there.size()) return EFAULT;
  }
  return 0;
}

int faultIn(pid_t pid, const Vma& vma, uint64_t start, uint64_t end, bool write) {
  if (write) {
    if (int error = touchForWrite(pid, start, end)) return error;
  }
  if (!vma.readable) return 0;
  // Anonymous memory that was made writable is there. A file may end early, and one byte tells device memory
  // (VM_IO, EFAULT) apart.
  bool everyPage = !write || vma.inode != 0;
  return touchForRead(pid, start, everyPage ? end : start + 1);
}

// All of [start, end) mapped, with the rights asked (check_vma_flags()).
bool covers(const std::vector<Vma>& vmas, uint64_t start, uint64_t end, bool write) {
  for (const Vma& vma : vmas) {
    if (vma.start > start || !(write ? vma.writable : vma.readable)) return false;
    start = vma.end;
  }
  return start >= end;
}
}  // namespace

int Pin::hold(std::shared_ptr<Process> process, uint64_t address, uint64_t length, bool write,
              std::shared_ptr<Pin>* result) {
  uint64_t end;
  if (__builtin_add_overflow(address, length, &end)) return EFAULT;
  std::vector<Vma> vmas;
  if (int error = readVmas(process->pid, address, end, &vmas)) return error;
  if (!covers(vmas, address, end, write)) return EFAULT;
  std::shared_ptr<Pin> pin(new Pin(process, address, length, write));
  MappedFilesystems filesystems(process->pid);
  for (size_t index = 0; index < vmas.size(); index++) {
    const Vma& vma = vmas[index];
    // mprotect() and the like split a mapping; the file does not mind.
    size_t last = index;
    bool file = vma.shared && filesystems.isMemory(vma.device);
    while (file && last + 1 < vmas.size() && vmas[last].continuedBy(vmas[last + 1])) last++;
    index = last;
    if (vma.shared && !file && filesystems.isHost(vma.device)) pin->device_ = true;
    uint64_t from = std::max(address, vma.start);
    uint64_t to = std::min(end, vmas[last].end);
    Window window{};
    if (file && counts.mappings < kMostMappings && pin->parts_.size() < kMostParts) {
      window = mapWindow(*process, vma, from, to, write);
    }
    int error = window.mapping ? populate(window, to - from, write) : faultIn(process->pid, vma, from, to, write);
    if (error) return error == ESRCH ? EFAULT : error;
    pin->add({from - address, to - from, window.mapping, window.data});
  }
  if (!process->alive()) return EFAULT;
  *result = pin;
  return 0;
}

int Pin::holdNow(const std::shared_ptr<Process>& process, uint64_t address, uint64_t length, bool write,
                 std::shared_ptr<Pin>* result) {
  uint64_t end;
  if (__builtin_add_overflow(address, length, &end)) return EFAULT;
  Vma vma;
  if (process->vmaAt(address, &vma) != 0 || vma.end < end) return kElsewhere;
  if (!(write ? vma.writable : vma.readable)) return EFAULT;
  bool file = vma.shared && isInternalMemory(vma.device);
  if (vma.shared && !file) return kElsewhere;
  // Pages of shared memory are there for whoever maps them once the client has them.
  if (process->residency(address, length, write && !file) != Residency::Resident) return kElsewhere;
  Window window{};
  if (file) {
    if (counts.mappings < kMostMappings) window = mapWindow(*process, vma, address, end, write);
    if (!window.mapping || populate(window, length, write) != 0) return kElsewhere;
  } else if (vma.readable) {
    LoopCopy copy(process.get());
    if (touchForRead(process->pid, address, address + 1) != 0) return kElsewhere;
  }
  if (!process->alive()) return EFAULT;
  std::shared_ptr<Pin> pin(new Pin(process, address, length, write));
  pin->add({0, length, window.mapping, window.data});
  *result = pin;
  return 0;
}

int Pin::holdFile(int fd, uint64_t offset, uint64_t length, bool write, std::shared_ptr<Pin>* result) {
  struct stat status;
  uint64_t unit;
  uint64_t end;
  if (!isMemory(fd, &unit) || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return EINVAL;
  if (__builtin_add_overflow(offset, length, &end) || end > static_cast<uint64_t>(status.st_size)) return EINVAL;
  Window window = mapFile(fd, offset, length, unit, write);
  if (!window.mapping && errno == EACCES) {
    // Pinning does not ask how the descriptor was opened.
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again < 0) return errno;
    window = mapFile(again, offset, length, unit, write);
    int error = errno;
    close(again);
    errno = error;
  }
  if (!window.mapping) return errno;
  if (int error = populate(window, length, write)) return error;
  std::shared_ptr<Pin> pin(new Pin(nullptr, offset, length, write));
  pin->add({0, length, window.mapping, window.data});
  *result = pin;
  return 0;
}

void Pin::add(Part part) {
  if (!part.mapping && !parts_.empty() && !parts_.back().mapping) parts_.back().length += part.length;
  else parts_.push_back(std::move(part));
}

Pin::Run Pin::at(uint64_t offset) const {
  auto after = std::upper_bound(parts_.begin(), parts_.end(), offset,
                                [](uint64_t offset, const Part& part) { return offset < part.offset; });
  const Part& part = *(after - 1);
  uint64_t within = offset - part.offset;
  return {part.data ? part.data + within : nullptr, address + offset, part.length - within};
}

bool Pin::shared() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.data != nullptr; });
}
