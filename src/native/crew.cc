#include "crew.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>

bool Crew::start(int owner, std::function<void()> job) {
  std::lock_guard<std::mutex> lock(mutex_);
  size_t busy = threads_ - idle_ + jobs_.size();
  if (busy >= limit_ || owned(owner) >= perOwner_) return false;
  if (idle_ <= jobs_.size() && !spawn()) return false;
  push(owner, std::move(job));
  return true;
}

void Crew::queue(int owner, std::function<void()> job) {
  std::lock_guard<std::mutex> lock(mutex_);
  // Without a new thread the job waits for one of the present ones.
  if (idle_ <= jobs_.size() && threads_ < limit_) spawn();
  push(owner, std::move(job));
}

// Jobs of an owner, running or waiting.
size_t Crew::owned(int owner) const {
  auto running = running_.find(owner);
  auto waiting = std::count_if(jobs_.begin(), jobs_.end(), [=](const Job& job) { return job.owner == owner; });
  return static_cast<size_t>(waiting) + (running == running_.end() ? 0 : running->second);
}

void Crew::push(int owner, std::function<void()> job) {
  jobs_.push_back({owner, std::move(job)});
  wake_.notify_one();
}

bool Crew::spawn() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 512 * 1024);
  // Signals are the main thread's; those a thread causes itself stay deliverable, SIGBUS above all (guard.h).
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  pthread_t thread;
  int error = pthread_create(
      &thread, &attributes,
      [](void* crew) -> void* {
        static_cast<Crew*>(crew)->work();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) threads_++;
  return error == 0;
}

std::deque<Crew::Job>::iterator Crew::next() {
  return std::find_if(jobs_.begin(), jobs_.end(), [this](const Job& job) {
    auto running = running_.find(job.owner);
    return running == running_.end() || running->second < perOwner_;
  });
}

void Crew::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    idle_++;
    bool hired = wake_.wait_for(lock, std::chrono::seconds(10), [this] { return next() != jobs_.end(); });
    idle_--;
    if (!hired) break;
    auto chosen = next();
    Job job = std::move(*chosen);
    jobs_.erase(chosen);
    running_[job.owner]++;
    lock.unlock();
    job.run();
    job.run = nullptr;  // what it owns is freed outside the lock
    lock.lock();
    if (--running_[job.owner] == 0) running_.erase(job.owner);
  }
  threads_--;
}

// Never destroyed: their threads may still be asleep in the kernel when the process exits.
Crew& memoryCrew() {
  static Crew* crew = new Crew(64, 16);
  return *crew;
}

Crew& pollCrew() {
  static Crew* crew = new Crew(32, 32);
  return *crew;
}

Crew& closeCrew() {
  static Crew* crew = new Crew(16, 16);
  return *crew;
}

Crew& notifyCrew() {
  static Crew* crew = new Crew(SIZE_MAX, SIZE_MAX);
  return *crew;
}

Crew& copyCrew() {
  static Crew* crew = new Crew(2, SIZE_MAX);
  return *crew;
}
