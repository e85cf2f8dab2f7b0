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
  Counted counted_{counts.pins};
};
