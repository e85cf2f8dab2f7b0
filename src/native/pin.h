// A range of a client's memory held for DMA.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "counts.h"
#include "mapping.h"
#include "process.h"

class Pin {
 public:
  // Any thread, and may sleep there. 0 or an errno: EFAULT where pin_user_pages() would say so.
  static int hold(std::shared_ptr<Process> process, uint64_t address, uint64_t length, bool write,
                  std::shared_ptr<Pin>* result);
  // The same without sleeping, on the loop: kElsewhere where that can't be promised (it is long, not all of it is there,
  // not of one kind, or in a file system that is not known to be quick).
  static constexpr int kElsewhere = -1;
  static int holdNow(const std::shared_ptr<Process>& process, uint64_t address, uint64_t length, bool write,
                     std::shared_ptr<Pin>* result);
  // [offset, +length) of a file in shared memory. Any thread. 0 or an errno: EINVAL for other files and past the end
  // (memfd_pin_folios()).
  static int holdFile(int fd, uint64_t offset, uint64_t length, bool write, std::shared_ptr<Pin>* result);

  // Null for a file: its pages are nobody's.
  const std::shared_ptr<Process> process;
  const uint64_t address;
  const uint64_t length;
  const bool writable;

  // A stretch from some offset on that lies in one place: at `data` here, or (null) at `address` in the
  // client.
  struct Run {
    uint8_t* data;
    uint64_t address;
    uint64_t length;
  };
  Run at(uint64_t offset) const;
  // Whether all of it is mapped here.
  bool shared() const;
  // Whether a mapped BAR is among it, whose pages of the real thing are no RAM (VM_PFNMAP).
  bool device() const { return device_; }

  // False once the process is gone whose memory it is.
  bool reachable() const { return !process || process->alive(); }

 private:
  struct Part {
    uint64_t offset;
    uint64_t length;
    std::shared_ptr<Mapping> mapping;
    uint8_t* data;
  };

  Pin(std::shared_ptr<Process> process, uint64_t address, uint64_t length, bool write)
      : process(std::move(process)), address(address), length(length), writable(write) {}
  void add(Part part);

  std::vector<Part> parts_;
  bool device_ = false;
  Counted counted_{counts.pins};
};
