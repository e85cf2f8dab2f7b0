#include "notifier.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "crew.h"

namespace {
constexpr unsigned long FUSE_DEV_IOC_CLONE = _IOR(229, 0, uint32_t);

// The parts of fuse_in_header and fuse_out_header that a refusal needs (uapi/linux/fuse.h).
struct InHeader {
  uint32_t length;
  uint32_t opcode;
  uint64_t unique;
};
struct OutHeader {
  uint32_t length;
  int32_t error;
  uint64_t unique;
};
}  // namespace

int Notifier::cloneDevice() const {
  int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  auto source = static_cast<uint32_t>(fd_);
  if (clone >= 0 && ioctl(clone, FUSE_DEV_IOC_CLONE, &source) == 0) return clone;
  int error = errno;
  if (clone >= 0) ::close(clone);
  errno = error;
  return -1;
}

void Notifier::send(std::vector<uint8_t> message, Settle settle) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return post(std::move(settle), EBADF);
  if (clone_ < 0) {
    clone_ = cloneDevice();
    if (clone_ < 0) return post(std::move(settle), errno);
    // A crew of its own: one thread for as long as the connection lasts.
    if (!notifyCrew().start(0, [self = shared_from_this()] { self->run(); })) {
      ::close(clone_);
      clone_ = -1;
      return post(std::move(settle), EAGAIN);
    }
  }
  messages_.push_back({std::move(message), std::move(settle)});
  changed_.notify_all();
}

void Notifier::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closed_ || !messages_.empty(); });
    if (closed_) break;
    Message message = std::move(messages_.front());
    messages_.pop_front();
    busy_ = true;
    lock.unlock();
    ssize_t written = write(clone_, message.bytes.data(), message.bytes.size());
    int error = written < 0 ? errno : 0;
    lock.lock();
    busy_ = false;
    changed_.notify_all();
    post(std::move(message.settle), error);
  }
  for (auto& message : messages_) post(std::move(message.settle), ECONNABORTED);
  messages_.clear();
  if (clone_ >= 0) ::close(clone_);
  clone_ = -1;
}

void Notifier::close() {
  ::close(fd_);
  std::unique_lock<std::mutex> lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  if (busy_) refuseRequests(lock);
  // An idle thread needs no descriptor to end; the connection is to end now.
  if (!busy_ && clone_ >= 0) {
    ::close(clone_);
    clone_ = -1;
  }
}

// A notification sleeps on a lock whose holder may wait for a request that nobody would ever read now: read
// and refuse what comes until it wakes. Without this the process could not even exit.
void Notifier::refuseRequests(std::unique_lock<std::mutex>& lock) {
  std::vector<uint8_t> request(bufferSize_);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (busy_ && std::chrono::steady_clock::now() < deadline) {
    changed_.wait_for(lock, std::chrono::milliseconds(1));
    InHeader in;
    while (read(clone_, request.data(), request.size()) >= static_cast<ssize_t>(sizeof in)) {
      memcpy(&in, request.data(), sizeof in);
      OutHeader out{sizeof out, -ENOTCONN, in.unique};
      // ENOENT (it was interrupted, or wants no answer) is as good.
      if (write(clone_, &out, sizeof out) < 0) continue;
    }
  }
}

void Notifier::post(Settle settle, int error) {
  mailbox_->post([settle = std::move(settle), error] { settle(error); });
}
