// eventfds of clients: signalled as the kernel would (eventfd_signal()), and listened to (irqfd, ioeventfd).
#include "eventfd.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include "arguments.h"
#include "environment.h"
#include "errors.h"

namespace {
// write() to an eventfd whose counter is full sleeps unless the descriptor is O_NONBLOCK, and that flag is
// the client's own. The kernel signals without sleeping when an asynchronous read completes
// (IOCB_FLAG_RESFD): so one of no bytes from /dev/null does it.
class Signaller {
 public:
  Signaller() {
    null_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_ < 0 || syscall(SYS_io_setup, 1, &context_) < 0) context_ = 0;
  }

  ~Signaller() {
    if (context_ != 0) syscall(SYS_io_destroy, context_);
    if (null_ >= 0) close(null_);
  }

  int signal(int fd) {
    if (context_ == 0) return signalByWrite(fd);
    iocb request{};
    request.aio_lio_opcode = IOCB_CMD_PREAD;
    request.aio_fildes = static_cast<uint32_t>(null_);
    request.aio_flags = IOCB_FLAG_RESFD;
    request.aio_resfd = static_cast<uint32_t>(fd);
    iocb* requests[] = {&request};
    if (syscall(SYS_io_submit, context_, 1, requests) < 0) return errno;
    io_event event;
    while (syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr) < 0 && errno == EINTR) {
    }
    return 0;
  }

 private:
  // Kernels without CONFIG_AIO. The counter may become full between the two calls; nothing better is to be
  // had there.
  static int signalByWrite(int fd) {
    pollfd poll{fd, POLLOUT, 0};
    uint64_t one = 1;
    if (::poll(&poll, 1, 0) < 0) return errno;
    if (poll.revents & POLLNVAL) return EBADF;
    if (!(poll.revents & POLLOUT)) return 0;  // full: a reader has its wake-up already
    return write(fd, &one, sizeof one) < 0 ? errno : 0;
  }

  int null_ = -1;
  aio_context_t context_ = 0;
};

void eventfdSignal(const Napi::CallbackInfo& info) {
  // One context per thread that runs JavaScript: the request completes inside io_submit(), so one slot is
  // enough.
  static thread_local Signaller signaller;
  if (int error = signaller.signal(fdArgument(info, 0))) fail(info.Env(), error, "eventfd");
}

struct Listener {
  LoopHandle poll;
  Napi::FunctionReference callback;
  int fd = -1;

  void stop() {
    if (fd < 0) return;
    poll.close();
    callback.Reset();
    close(fd);
    fd = -1;
  }
  ~Listener() { stop(); }
};

bool isEventfd(int fd) {
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  char text[32];
  ssize_t length = readlink(path.c_str(), text, sizeof text);
  constexpr char expected[] = "anon_inode:[eventfd]";
  return length == sizeof expected - 1 && memcmp(text, expected, sizeof expected - 1) == 0;
}

Napi::Value eventfdListen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& environment = Environment::of(env);
  int fd = fdArgument(info, 0);
  Napi::Function callback = functionArgument(info, 1, "callback");
  auto listener = std::make_shared<Listener>();
  // A copy: libuv polls a descriptor once per loop, and the same eventfd may be listened to twice.
  listener->fd = checked(env, fcntl(fd, F_DUPFD_CLOEXEC, 0), "eventfd");
  if (!isEventfd(listener->fd)) fail(env, EINVAL, "eventfd");
  listener->callback = Napi::Persistent(callback);
  // The poll owns the listener, until it is stopped or the environment ends: nobody has to keep the stop
  // function.
  listener->poll = environment.poll(listener->fd, [listener, &environment](int) {
    uint64_t value;
    iovec vector{&value, sizeof value};
    // The client may read it first; the descriptor may be a blocking one.
    if (preadv2(listener->fd, &vector, 1, -1, RWF_NOWAIT) != sizeof value) return;
    environment.call(listener->callback, {});
  });
  listener->poll.unref();
  return Napi::Function::New(env, [listener](const Napi::CallbackInfo&) { listener->stop(); }, "stop");
}
}  // namespace

void exportEventfd(Napi::Env env, Napi::Object exports) {
  exports.Set("eventfdSignal", Napi::Function::New(env, eventfdSignal, "eventfdSignal"));
  exports.Set("eventfdListen", Napi::Function::New(env, eventfdListen, "eventfdListen"));
}
