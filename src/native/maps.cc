#include "maps.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "host-filesystem.h"

namespace {
using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File openProc(pid_t pid, const char* name) {
  std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  return File(fopen(path.c_str(), "re"), fclose);
}

// Calls `each` with every line until it returns false.
template <class Each>
void eachLine(FILE* file, const Each& each) {
  char* line = nullptr;
  size_t size = 0;
  while (getline(&line, &size, file) > 0 && each(line)) {
  }
  free(line);
}

// The kernel-internal mounts behind memfd, SysV and MAP_SHARED|MAP_ANONYMOUS memory, of every page size: they
// stand in no mountinfo.
std::vector<dev_t> internalDevices() {
  std::vector<dev_t> devices;
  auto learn = [&](unsigned flags) {
    int fd = memfd_create("vfiofs-probe", MFD_CLOEXEC | flags);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0) devices.push_back(status.st_dev);
    if (fd >= 0) close(fd);
  };
  learn(0);
  for (unsigned log2 = 14; log2 <= 34; log2++) learn(MFD_HUGETLB | log2 << MAP_HUGE_SHIFT);
  return devices;
}

// Never destroyed: threads may pin while the process exits.
const std::vector<dev_t>& knownInternalDevices() {
  static const auto* const devices = new std::vector<dev_t>(internalDevices());
  return *devices;
}

bool isAmong(const std::vector<dev_t>& devices, dev_t device) {
  return std::find(devices.begin(), devices.end(), device) != devices.end();
}

// struct procmap_query of linux/fs.h, which older headers lack.
struct ProcmapQuery {
  uint64_t size;
  uint64_t queryFlags;
  uint64_t queryAddress;
  uint64_t start;
  uint64_t end;
  uint64_t flags;
  uint64_t pageSize;
  uint64_t offset;
  uint64_t inode;
  uint32_t major;
  uint32_t minor;
  uint32_t nameSize;
  uint32_t buildIdSize;
  uint64_t nameAddress;
  uint64_t buildIdAddress;
};
static_assert(sizeof(ProcmapQuery) == 104);
constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);
constexpr uint64_t kReadable = 1;
constexpr uint64_t kWritable = 2;
constexpr uint64_t kShared = 8;
}  // namespace

int queryVma(int maps, uint64_t address, Vma* result) {
  ProcmapQuery query{};
  query.size = sizeof query;
  query.queryAddress = address;
  if (ioctl(maps, kProcmapQuery, &query) < 0) return errno;
  *result = {query.start,
             query.end,
             (query.flags & kReadable) != 0,
             (query.flags & kWritable) != 0,
             (query.flags & kShared) != 0,
             query.offset,
             makedev(query.major, query.minor),
             query.inode};
  return 0;
}

bool isInternalMemory(dev_t device) { return isAmong(knownInternalDevices(), device); }

int readVmas(pid_t pid, uint64_t start, uint64_t end, std::vector<Vma>* result) {
  File file = openProc(pid, "maps");
  // A process that is gone has no memory.
  if (!file) return errno == ENOENT || errno == ESRCH ? EFAULT : errno;
  eachLine(file.get(), [&](const char* line) {
    Vma vma;
    char rights[5];
    unsigned major, minor;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &vma.start, &vma.end, rights,
               &vma.offset, &major, &minor, &vma.inode) != 7) {
      return true;
    }
    if (vma.end <= start) return true;
    if (vma.start >= end) return false;
    vma.readable = rights[0] == 'r';
    vma.writable = rights[1] == 'w';
    vma.shared = rights[3] == 's';
    vma.device = makedev(major, minor);
    result->push_back(vma);
    return true;
  });
  return 0;
}

MappedFilesystems::MappedFilesystems(pid_t pid) {
  memory_ = knownInternalDevices();
  learn(pid);
}

void MappedFilesystems::learn(pid_t pid) {
  File file = openProc(pid, "mountinfo");
  if (!file) return;
  eachLine(file.get(), [&](const char* line) {
    // 36 35 0:27 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw (proc(5))
    unsigned major, minor;
    const char* dash = strstr(line, " - ");
    if (!dash || sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2) return true;
    std::string type(dash + 3, strcspn(dash + 3, " \n"));
    if (type == "tmpfs" || type == "hugetlbfs") memory_.push_back(makedev(major, minor));
    if (type == kHostFilesystem) hosts_.push_back(makedev(major, minor));
    return true;
  });
}

bool MappedFilesystems::isMemory(dev_t device) const { return isAmong(memory_, device); }
bool MappedFilesystems::isHost(dev_t device) {
  if (isAmong(hosts_, device)) return true;
  if (ownLearnt_) return false;
  // A descriptor may have come from where the host is mounted.
  ownLearnt_ = true;
  learn(getpid());
  return isAmong(hosts_, device);
}
