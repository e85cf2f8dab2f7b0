// Threads for work that may sleep for as long as a hostile client likes. libuv's pool is four threads shared
// with the whole process, so such work never goes there.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>

class Crew {
 public:
  // At most `threads` at once, at most `perOwner` of them for one owner (a client process), so that one
  // client can't take all.
  Crew(size_t threads, size_t perOwner) : limit_(threads), perOwner_(perOwner) {}

  // Runs `job` at once, on a thread that is its own for as long as it lasts; false when none is to be had.
  bool start(int owner, std::function<void()> job);

  // Runs `job` as soon as a thread is free. For work that must be done.
  void queue(int owner, std::function<void()> job);

 private:
  struct Job {
    int owner;
    std::function<void()> run;
  };
  size_t owned(int owner) const;
  void push(int owner, std::function<void()> job);
  bool spawn();
  void work();
  // The first job whose owner may have another thread, or the end.
  std::deque<Job>::iterator next();

  const size_t limit_;
  const size_t perOwner_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::unordered_map<int, size_t> running_;  // by owner
  size_t threads_ = 0;
  size_t idle_ = 0;
};

// Copies to and from clients' memory that may not be resident, and pinning.
Crew& memoryCrew();
// Polls of descriptors that came from clients.
Crew& pollCrew();
// close() of such descriptors.
Crew& closeCrew();
// Notifications, a thread per FUSE connection.
Crew& notifyCrew();
// memcpy between mapped memory: never sleeps for long, so two threads do.
Crew& copyCrew();
