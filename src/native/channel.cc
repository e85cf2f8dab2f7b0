#include "channel.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "arguments.h"
#include "backing.h"
#include "environment.h"
#include "errors.h"
#include "fixed-files.h"
#include "notifier.h"
#include "turn.h"
#include "wrap.h"

namespace {
uint64_t now() { return uv_hrtime(); }  // ns

// How long the loop may be kept from timers and other handles.
constexpr int kBatch = 64;
constexpr uint64_t kSlice = 1'000'000;
constexpr size_t kMinReadBuffer = 8192;  // FUSE_MIN_READ_BUFFER: less is EINVAL in fuse_dev_do_read()

// How long to go on reading after a request, before epoll (whose wake-up costs more than a request): as long
// as it pays.
class Spin {
 public:
  void setLimit(uint64_t nanoseconds) { limit_ = current_ = nanoseconds; }
  uint64_t length() const { return current_; }
  void hit() { current_ = std::min(limit_, std::max(current_ * 2, limit_ / 16)); }
  void miss(uint64_t at) {
    current_ /= 2;
    asleep_ = at;
  }
  // A request after a sleep so short that a full spin would have met it: spinning pays again.
  void woken(uint64_t at) {
    if (asleep_ && at - asleep_ < limit_) current_ = limit_;
    asleep_ = 0;
  }

 private:
  uint64_t limit_ = 100'000;
  uint64_t current_ = 100'000;
  uint64_t asleep_ = 0;
};

class FuseChannel : public Wrap<FuseChannel>, public Ending {
 public:
  static constexpr const char* kName = "FuseChannel";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 3};

  explicit FuseChannel(const Napi::CallbackInfo& info) : Wrap(info) {}
  ~FuseChannel() override { end(); }

  void init(Napi::Env env, int fd, size_t size) {
    environment_ = Environment::of(env).shared_from_this();
    fd_ = fd;
    auto buffer = Napi::Buffer<uint8_t>::New(env, size);
    data_ = buffer.Data();
    size_ = size;
    Value().DefineProperty(Napi::PropertyDescriptor::Value("buffer", buffer, napi_enumerable));
    notifier_ = std::make_shared<Notifier>(fd, size, environment_->mailbox());
    environment_->add(this);
  }

  static std::vector<PropertyDescriptor> properties() {
    return {
        InstanceMethod("start", &FuseChannel::start),   InstanceMethod("reply", &FuseChannel::reply),
        InstanceMethod("notify", &FuseChannel::notify), InstanceMethod("setSpin", &FuseChannel::setSpin),
        InstanceMethod("close", &FuseChannel::close),   InstanceMethod("fix", &FuseChannel::fix),
        InstanceMethod("unfix", &FuseChannel::unfix),   InstanceMethod("adopt", &FuseChannel::adopt),
        InstanceMethod("fixedOpen", &FuseChannel::fixedOpen),
    };
  }

  void start(const Napi::CallbackInfo& info) {
    if (fd_ < 0) fail(info.Env(), EBADF, "read");
    if (onRequest_) fail(info.Env(), EBUSY, "read");
    onRequest_ = Napi::Persistent(functionArgument(info, 0, "onRequest"));
    onClosed_ = Napi::Persistent(functionArgument(info, 1, "onClosed"));
    Ref();  // until closed: the loop calls it
    idle_ = environment_->idle([this](int) { drain(0); });
    listen();
  }

  Napi::Value reply(const Napi::CallbackInfo& info) {
    Bytes header = bytesArgument(info, 0, "header");
    iovec parts[2] = {{header.data, header.length}, {nullptr, 0}};
    if (info.Length() > 1 && !info[1].IsUndefined()) {
      Bytes payload = bytesArgument(info, 1, "payload");
      parts[1] = {payload.data, payload.length};
    }
    ssize_t written;
    do {
      written = writev(fd_, parts, parts[1].iov_len ? 2 : 1);
    } while (written < 0 && errno == EINTR);
    return Napi::Number::New(info.Env(), written < 0 ? errno : 0);
  }

  Napi::Value notify(const Napi::CallbackInfo& info) {
    Bytes message = bytesArgument(info, 0, "message");
    Napi::Promise promise;
    uint64_t id = environment_->openPromise(
        [](Napi::Env env, Napi::Promise::Deferred& deferred, int error) {
          deferred.Resolve(Napi::Number::New(env, error));
        },
        &promise);
    auto settle = [environment = environment_.get(), id](int error) { environment->settlePromise(id, error); };
    notifier_->send({message.data, message.data + message.length}, settle);
    return promise;
  }

  void setSpin(const Napi::CallbackInfo& info) {
    spin_.setLimit(static_cast<uint64_t>(integerArgument(info, 0, "microseconds", 0, 1000)) * 1000);
  }

  void fix(const Napi::CallbackInfo& info) {
    uint64_t node = number(info, "node");
    Bytes content = bytesArgument(info, 1, "content");
    fixed_.fix(node, std::string(reinterpret_cast<const char*>(content.data), content.length));
  }

  void unfix(const Napi::CallbackInfo& info) { fixed_.unfix(number(info, "node")); }

  Napi::Value adopt(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), fixed_.adopt(number(info, "handle")));
  }

  Napi::Value fixedOpen(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(fixed_.open()));
  }

  void close(const Napi::CallbackInfo&) { end(); }

  void end() override {
    if (fd_ < 0) return;
    environment_->remove(this);
    stopReading();
    forgetBackings(fd_);
    notifier_->close();  // and the descriptor with it
    fd_ = -1;
  }

 private:
  static uint64_t number(const Napi::CallbackInfo& info, const char* name) {
    return static_cast<uint64_t>(integerArgument(info, 0, name, 0, kMaxSafeInteger));
  }

  void listen() {
    // Before somebody (a child, in its own mount namespace) has mounted the descriptor, read() says EPERM,
    // and poll() an error from which no wake-up comes: so that is asked now and then.
    ssize_t length = read(fd_, data_, size_);
    if (length < 0 && errno == EPERM) {
      unmounted_ = environment_->timer(1, [this](int) { listen(); });
      return;
    }
    poll_ = environment_->poll(fd_, [this](int status) { drain(-status); });
    if (length <= 0) return;
    environment_->mailbox()->post([this, length] {  // in a callback from the loop, as all others
      if (fd_ < 0) return;
      deliver(static_cast<size_t>(length));
      if (fd_ >= 0) drain(0);
    });
  }

  // Handles requests until none comes any more or the loop's slice is over. `error`: what epoll had to say.
  void drain(int error) {
    uint64_t begin = now();
    uint64_t last = begin;
    spin_.woken(begin);
    for (int handled = 0; handled < kBatch && now() - begin < kSlice;) {
      ssize_t length = read(fd_, data_, size_);
      if (length > 0) {
        if (handled > 0 && now() - last > 2000) spin_.hit();
        if (!fixed_.answer(fd_, data_, static_cast<size_t>(length))) deliver(static_cast<size_t>(length));
        if (fd_ < 0) return;
        handled++;
        last = now();
      } else if (length == 0) {
        return closed(ENODEV);
      } else if (errno == EAGAIN) {
        if (error) return closed(error);
        bool spinning = handled > 0 || resumed_;
        uint64_t at = now();
        if (spinning && at - last < spin_.length()) {
          // The client may be waiting for this very processor.
          sched_yield();
          continue;
        }
        if (spinning) spin_.miss(at);
        resumed_ = false;
        uv_idle_stop(&idle_.get()->uv.idle);
        return;
      } else if (errno != EINTR && errno != ENOENT) {  // ENOENT: the request was interrupted before it was read
        return closed(errno);
      }
    }
    // More is likely. The idle handle brings us back right after the loop's other business, without a sleep
    // in epoll.
    resumed_ = true;
    environment_->startIdle(idle_);
  }

  void deliver(size_t length) {
    Napi::Env env = environment_->env();
    Napi::HandleScope scope(env);
    // fuse_in_header.pid
    uint32_t caller = 0;
    if (length >= 36) memcpy(&caller, data_ + 32, sizeof caller);
    Turn turn(static_cast<pid_t>(caller));
    environment_->call(onRequest_, {Napi::Number::New(env, static_cast<double>(length))});
  }

  void closed(int error) {
    Napi::Env env = environment_->env();
    auto onClosed = std::move(onClosed_);
    stopReading();
    environment_->call(onClosed, {Napi::Number::New(env, error)});
  }

  void stopReading() {
    if (!onRequest_) return;
    unmounted_.close();
    poll_.close();
    idle_.close();
    onRequest_.Reset();
    onClosed_.Reset();
    Unref();
  }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Notifier> notifier_;
  Napi::FunctionReference onRequest_;
  Napi::FunctionReference onClosed_;
  LoopHandle poll_;
  LoopHandle idle_;
  LoopHandle unmounted_;
  Spin spin_;
  FixedFiles fixed_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
  bool resumed_ = false;  // the idle handle continues
};

Napi::Value createChannel(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = fdArgument(info, 0);
  auto size = static_cast<size_t>(integerArgument(info, 1, "bufferSize", kMinReadBuffer, 64 << 20));
  int flags = checked(env, fcntl(fd, F_GETFL), "fcntl");
  checked(env, fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl");
  return FuseChannel::create(env, fd, size);
}
}  // namespace

void exportChannel(Napi::Env env, Napi::Object exports) {
  FuseChannel::define(env);
  exports.Set("createChannel", Napi::Function::New(env, createChannel, "createChannel"));
}
