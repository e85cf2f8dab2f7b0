// What the addon and its graft helper tell each other over a SOCK_SEQPACKET socket: one Command, one Answer,
// in turn.
#pragma once

#include <cstdint>

constexpr int kGraftSocket = 3;

enum class GraftOperation : uint32_t { Openat = 1, Finish = 2, Close = 3 };

struct GraftCommand {
  GraftOperation operation;
  int32_t fd;
  int32_t flags;
  int64_t result;
};

// The first answer, unasked, says how seizing went. `value` is a descriptor or 0, or -errno.
struct GraftAnswer {
  int32_t value;
};
