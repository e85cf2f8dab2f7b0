#include "copy.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "guard.h"
#include "loop-copy.h"

namespace {
constexpr uint64_t kBounce = 256 * 1024;

int copyRun(const Place& source, const Pin::Run& from, const Place& target, const Pin::Run& to, size_t length) {
  if (from.data && to.data) return guardedCopy(to.data, from.data, length) ? 0 : EFAULT;
  // The kernel's copies answer EFAULT by themselves where a mapping of ours has been truncated.
  if (to.data) return source.pin->process->read(from.address, to.data, length);
  if (from.data) return target.pin->process->write(to.address, from.data, length);
  std::vector<uint8_t> bounce(std::min<uint64_t>(length, kBounce));
  for (uint64_t done = 0; done < length;) {
    size_t step = std::min<uint64_t>(length - done, bounce.size());
    int error = source.pin->process->read(from.address + done, bounce.data(), step);
    if (!error) error = target.pin->process->write(to.address + done, bounce.data(), step);
    if (error) return error;
    done += step;
  }
  return 0;
}
}  // namespace

Pin::Run Place::at(uint64_t offset) const {
  if (pin) return pin->at(offset);
  return {bytes + offset, 0, length - offset};
}

bool Place::local(uint64_t offset, uint64_t length) const {
  if (!pin) return true;
  for (uint64_t done = 0; done < length;) {
    Pin::Run run = pin->at(offset + done);
    if (!run.data) return false;
    done += run.length;
  }
  return true;
}

Residency Place::residency(uint64_t offset, uint64_t length, bool write) const {
  if (!pin) return Residency::Resident;
  for (uint64_t done = 0; done < length;) {
    Pin::Run run = pin->at(offset + done);
    uint64_t step = std::min(run.length, length - done);
    if (!run.data) {
      Residency residency = pin->process->residency(run.address, step, write);
      if (residency != Residency::Resident) return residency;
    }
    done += step;
  }
  return Residency::Resident;
}

int Place::check(bool write) const {
  if (!pin) return 0;
  return (write && !pin->writable) || !pin->reachable() ? EFAULT : 0;
}

bool Piece::inBounds() const {
  return sourceOffset <= source.length && length <= source.length - sourceOffset && targetOffset <= target.length &&
         length <= target.length - targetOffset;
}

bool Piece::local() const { return source.local(sourceOffset, length) && target.local(targetOffset, length); }

int Piece::copyOnLoop() const {
  LoopCopy from(source.pin ? source.pin->process.get() : nullptr);
  LoopCopy to(target.pin ? target.pin->process.get() : nullptr);
  return copy();
}

int Piece::copy() const {
  if (int error = source.check(false)) return error;
  if (int error = target.check(true)) return error;
  for (uint64_t done = 0; done < length;) {
    Pin::Run from = source.at(sourceOffset + done);
    Pin::Run to = target.at(targetOffset + done);
    uint64_t step = std::min({from.length, to.length, length - done});
    if (int error = copyRun(source, from, target, to, step)) return error;
    done += step;
  }
  return 0;
}
