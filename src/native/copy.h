// Copies between places that are bytes of this process, or pins, whose parts are mapped here or lie in a
// client only.
#pragma once

#include <memory>

#include "pin.h"

// One end of a copy. `bytes` is null for a pin.
struct Place {
  std::shared_ptr<Pin> pin;
  uint8_t* bytes;
  uint64_t length;

  Pin::Run at(uint64_t offset) const;
  // Whether [offset, +length) involves no client memory that is not mapped here.
  bool local(uint64_t offset, uint64_t length) const;
  // Whether a copy there won't sleep.
  Residency residency(uint64_t offset, uint64_t length, bool write) const;
  // EFAULT for a pin whose process is gone, or that may not be written.
  int check(bool write) const;
};

struct Piece {
  Place source;
  uint64_t sourceOffset;
  Place target;
  uint64_t targetOffset;
  uint64_t length;

  bool inBounds() const;
  bool local() const;
  // Faults pages in where needed; 0 or an errno. Some of it may have been copied when it fails.
  int copy() const;
  // The same by the loop, when what it needs was there a moment ago.
  int copyOnLoop() const;
};
