#include "supervised-calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include "seccomp.h"
#include "supervision.h"

namespace {
// An argument that has to be one of these for the call to be trapped; all of them are ints.
struct Condition {
  int argument;
  std::vector<unsigned> values;
};
struct Rule {
  unsigned call;
  std::vector<Condition> conditions;
};

// Without a condition every one costs a round trip to the supervisor, whatever file it is about: a filter sees no paths.
const std::vector<Rule> kRules = {
    {SYS_stat, {}},
    {SYS_lstat, {}},
    {SYS_fstat, {}},
    {SYS_newfstatat, {}},
    {SYS_statx, {}},
    {SYS_statfs, {}},
    {SYS_fstatfs, {}},
    {SYS_readlink, {}},
    {SYS_readlinkat, {}},
    {SYS_ioctl,
     {{1,
       {
           kSuperviseThis,
           0x3b6a,  // VFIO_GROUP_GET_DEVICE_FD
           0x3b75,  // VFIO_DEVICE_FEATURE: a migration's data_fd
           0x3b8e,  // IOMMU_FAULT_QUEUE_ALLOC
           0x3b93,  // IOMMU_VEVENTQ_ALLOC
       }}}},
    {SYS_socket, {{0, {AF_NETLINK}}, {2, {NETLINK_KOBJECT_UEVENT}}}},
};

sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}

// How many of the next instructions are skipped if it is, and if it isn't.
sock_filter compare(unsigned value, size_t equal, size_t other) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<uint8_t>(equal), static_cast<uint8_t>(other));
}

sock_filter answer(unsigned action) { return BPF_STMT(BPF_RET | BPF_K, action); }

// What is done about a call that the rule is for.
std::vector<sock_filter> verdict(const Rule& rule) {
  std::vector<sock_filter> code;
  for (const auto& [argument, values] : rule.conditions) {
    // Its lower half: the upper one of an int means nothing.
    code.push_back(load(offsetof(seccomp_data, args) + sizeof(uint64_t) * static_cast<size_t>(argument)));
    for (size_t i = 0; i < values.size(); i++) code.push_back(compare(values[i], values.size() - i, 0));
    code.push_back(answer(SECCOMP_RET_ALLOW));
  }
  code.push_back(answer(SECCOMP_RET_USER_NOTIF));
  return code;
}

std::vector<sock_filter> program() {
  std::vector<sock_filter> code;
  // Compiled for 64-bit programs; others (and x32, whose numbers have bit 30 set) go on by themselves.
  code.push_back(load(offsetof(seccomp_data, arch)));
  code.push_back(compare(AUDIT_ARCH_X86_64, 1, 0));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  code.push_back(load(offsetof(seccomp_data, nr)));
  for (const Rule& rule : kRules) {
    std::vector<sock_filter> own = verdict(rule);
    code.push_back(compare(rule.call, 0, own.size()));
    code.insert(code.end(), own.begin(), own.end());
  }
  code.push_back(answer(SECCOMP_RET_ALLOW));
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
