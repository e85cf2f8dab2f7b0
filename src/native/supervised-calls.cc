#include "supervised-calls.h"

#include <linux/audit.h>
#include <linux/filter.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <vector>

#include "seccomp.h"
#include "supervision.h"

namespace {
// Every one costs a round trip to the supervisor, whatever file it is about: a filter sees no paths.
constexpr unsigned kCalls[] = {SYS_stat,   SYS_lstat,   SYS_fstat, SYS_newfstatat,
                               SYS_statx,  SYS_statfs, SYS_fstatfs, SYS_readlink, SYS_readlinkat};
// Of ioctl, these commands only.
constexpr unsigned kCommands[] = {
    kSuperviseThis,
    0x3b6a,  // VFIO_GROUP_GET_DEVICE_FD
    0x3b75,  // VFIO_DEVICE_FEATURE: a migration's data_fd
    0x3b8e,  // IOMMU_FAULT_QUEUE_ALLOC
    0x3b93,  // IOMMU_VEVENTQ_ALLOC
};

// Which of the next instructions follows: `count` beyond the next one.
sock_filter jumpIfEqual(unsigned value, size_t count) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<uint8_t>(count), 0);
}

sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}

sock_filter answer(unsigned action) { return BPF_STMT(BPF_RET | BPF_K, action); }

std::vector<sock_filter> program() {
  std::vector<sock_filter> code;
  // Compiled for 64-bit programs; others (and x32, whose numbers have bit 30 set) go on by themselves.
  code.push_back(load(offsetof(seccomp_data, arch)));
  code.push_back(jumpIfEqual(AUDIT_ARCH_X86_64, 1));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  code.push_back(load(offsetof(seccomp_data, nr)));
  constexpr size_t calls = std::size(kCalls), commands = std::size(kCommands);
  // What follows the calls: [ioctl?] allow, load, [command?…] allow, notify.
  for (size_t i = 0; i < calls; i++) code.push_back(jumpIfEqual(kCalls[i], calls - i - 1 + 1 + 1 + 1 + commands + 1));
  code.push_back(jumpIfEqual(SYS_ioctl, 1));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  code.push_back(load(offsetof(seccomp_data, args[1])));  // its lower half: a command is an unsigned int
  for (size_t i = 0; i < commands; i++) code.push_back(jumpIfEqual(kCommands[i], commands - i));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  code.push_back(answer(SECCOMP_RET_USER_NOTIF));
  return code;
}
}  // namespace

int listenToOwnCalls() {
  std::vector<sock_filter> code = program();
  sock_fprog filter{static_cast<unsigned short>(code.size()), code.data()};
  // SPEC_ALLOW: kernels before 5.16 would slow the command down for fear of what it might speculate.
  unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // A signal that comes while a call is being answered waits for the answer, so that no effect happens twice.
  int listener = seccomp(SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
  if (listener < 0 && errno == EINVAL) listener = seccomp(SECCOMP_SET_MODE_FILTER, flags, &filter);
  return listener < 0 ? -errno : listener;
}
