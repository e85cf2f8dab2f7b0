#include "watch-thread.h"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>

#include "crew.h"
#include "guard.h"

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

namespace {
// After something happened: no sleep at all, but the CPU goes to whoever wants it after every look.
constexpr microseconds kBusy{1500};
constexpr microseconds kFirstStep{10};
constexpr microseconds kLastStep{1000};

template <class Word>
uint64_t loadWord(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const Word*>(at), __ATOMIC_ACQUIRE);
}

Crew& watchCrew() {
  static Crew* crew = new Crew(1, 1);
  return *crew;
}
}  // namespace

uint64_t WatchedPage::load(const Register& of) {
  switch (of.width) {
    case 1: return loadWord<uint8_t>(of.at);
    case 2: return loadWord<uint16_t>(of.at);
    case 4: return loadWord<uint32_t>(of.at);
    default: return loadWord<uint64_t>(of.at);
  }
}

void WatchedPage::addRegister(uint64_t offset, unsigned width) {
  Register added{mapping_->data + offset, width, 0, false};
  // A file shorter than its mapping reads as zero here: there is nothing to watch.
  guarded([&] { added.known = load(added); });
  registers_.push_back(added);
}

bool WatchedPage::scan() {
  bool seen = false;
  guarded([&] {
    for (Register& present : registers_) {
      uint64_t value = load(present);
      if (value == present.known) continue;
      present.known = value;
      present.stored = seen = true;
    }
  });
  return seen;
}

WatchThread& WatchThread::get() {
  static WatchThread* thread = new WatchThread;  // never destroyed, as its thread may still run at exit
  return *thread;
}

void WatchThread::add(std::shared_ptr<WatchedPage> page) {
  std::lock_guard<std::mutex> lock(mutex_);
  pages_.push_back(std::move(page));
}

void WatchThread::remove(const std::shared_ptr<WatchedPage>& page) {
  activate(*page, false);
  std::lock_guard<std::mutex> lock(mutex_);
  pages_.erase(std::remove(pages_.begin(), pages_.end(), page), pages_.end());
  page->registers_.clear();
  page->mapping_.reset();
}

void WatchThread::activate(WatchedPage& page, bool active) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (page.active_ == active) return;
  page.active_ = active;
  active_ += active ? 1 : -1;
  kicked_ = true;
  wake_.notify_one();
  if (!active) return;
  // What was seen before a stop is still to be told.
  bool stored = std::any_of(page.registers_.begin(), page.registers_.end(), [](auto& one) { return one.stored; });
  if (stored && !page.notified_) {
    page.notified_ = true;
    page.notify_();
  }
  if (!running_) {
    running_ = true;
    watchCrew().queue(0, [this] { run(); });
  }
}

void WatchThread::kick() {
  std::lock_guard<std::mutex> lock(mutex_);
  kicked_ = true;
  wake_.notify_one();
}

void WatchThread::settle(WatchedPage& page, size_t index) {
  std::lock_guard<std::mutex> lock(mutex_);
  WatchedPage::Register& chosen = page.registers_.at(index);
  guarded([&] { chosen.known = WatchedPage::load(chosen); });
  chosen.stored = false;
}

WatchedPage::Stores WatchThread::take(WatchedPage& page) {
  std::lock_guard<std::mutex> lock(mutex_);
  page.notified_ = false;
  WatchedPage::Stores stores;
  if (!page.active_) return stores;
  for (uint32_t index = 0; index < page.registers_.size(); index++) {
    WatchedPage::Register& present = page.registers_[index];
    if (present.stored) stores.emplace_back(index, present.known);
    present.stored = false;
  }
  return stores;
}

bool WatchThread::scan() {
  bool seen = false;
  for (auto& page : pages_) {
    if (!page->active_ || !page->scan()) continue;
    seen = true;
    if (page->notified_) continue;
    page->notified_ = true;
    page->notify_();
  }
  return seen;
}

void WatchThread::run() {
  // Sleeps of ten microseconds are meant; the default slack alone is fifty.
  prctl(PR_SET_TIMERSLACK, 1000);
  std::unique_lock<std::mutex> lock(mutex_);
  auto busyUntil = Clock::now();
  microseconds step = kFirstStep;
  for (;;) {
    wake_.wait(lock, [this] { return active_ > 0; });
    bool seen = scan();
    if (seen || kicked_) {
      busyUntil = Clock::now() + kBusy;
      step = kFirstStep;
      kicked_ = false;
    }
    if (Clock::now() < busyUntil) {
      lock.unlock();
      sched_yield();
      lock.lock();
    } else {
      wake_.wait_for(lock, step, [this] { return kicked_; });
      step = std::min(step * 2, kLastStep);
    }
  }
}
