// Notifications to the kernel, in order, from a thread: fuse_reverse_inval_entry() and its kin take inode
// locks that a request waiting for this very daemon may hold.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "environment.h"

class Notifier : public std::enable_shared_from_this<Notifier> {
 public:
  using Settle = std::function<void(int error)>;  // called on the loop

  Notifier(int fd, size_t bufferSize, std::shared_ptr<Mailbox> mailbox)
      : fd_(fd), bufferSize_(bufferSize), mailbox_(std::move(mailbox)) {}

  void send(std::vector<uint8_t> message, Settle settle);

  // Closes the connection, its descriptor included.
  void close();

 private:
  struct Message {
    std::vector<uint8_t> bytes;
    Settle settle;
  };
  int cloneDevice() const;
  void run();
  void refuseRequests(std::unique_lock<std::mutex>& lock);
  void post(Settle settle, int error);

  const int fd_;
  const size_t bufferSize_;
  std::shared_ptr<Mailbox> mailbox_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> messages_;
  // A second open of the same connection: the descriptor proper can then be closed, which ends what it has
  // read but not answered, even while a notification sleeps.
  int clone_ = -1;
  bool busy_ = false;
  bool closed_ = false;
};
