// What the addon holds now, in the whole process: threads that outlive their environment still count.
#pragma once

#include <atomic>

struct Counts {
  std::atomic<int> mappings{0};
  std::atomic<int> pins{0};
  std::atomic<int> processes{0};
  std::atomic<int> grafts{0};
  std::atomic<int> watchers{0};
};

extern Counts counts;

// A member of this type counts its object.
class Counted {
 public:
  explicit Counted(std::atomic<int>& counter) : counter_(counter) { counter_++; }
  ~Counted() { counter_--; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& counter_;
};
