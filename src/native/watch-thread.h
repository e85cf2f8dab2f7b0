// The one thread that looks at watched registers, as often as stores are likely.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "mapping.h"

// Registers in one mapping. All but `notify` belongs to the WatchThread's lock.
class WatchedPage {
 public:
  using Stores = std::vector<std::pair<uint32_t, uint64_t>>;  // index, value

  WatchedPage(std::shared_ptr<Mapping> mapping, std::function<void()> notify)
      : mapping_(std::move(mapping)), notify_(std::move(notify)) {}

  // Before the page is watched. The present value counts as known.
  void addRegister(uint64_t offset, unsigned width);

 private:
  friend class WatchThread;
  struct Register {
    const uint8_t* at;
    unsigned width;
    uint64_t known;
    bool stored;  // known is new to JavaScript
  };
  static uint64_t load(const Register& of);
  bool scan();

  std::shared_ptr<Mapping> mapping_;
  std::function<void()> notify_;  // any thread
  std::vector<Register> registers_;
  bool active_ = false;
  bool notified_ = false;
};

class WatchThread {
 public:
  static WatchThread& get();

  void add(std::shared_ptr<WatchedPage> page);
  void remove(const std::shared_ptr<WatchedPage>& page);
  void activate(WatchedPage& page, bool active);
  // Back-off starts anew.
  void kick();
  void settle(WatchedPage& page, size_t index);
  // The stores since last time, latest values, in index order; none while the page is not active.
  WatchedPage::Stores take(WatchedPage& page);

 private:
  void run();
  bool scan();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<WatchedPage>> pages_;
  size_t active_ = 0;
  bool running_ = false;
  bool kicked_ = false;
};
