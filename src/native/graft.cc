#include "graft.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <string>

#include "arguments.h"
#include "counts.h"
#include "environment.h"
#include "errors.h"
#include "graft-protocol.h"
#include "wrap.h"

namespace {
constexpr int kMostGrafts = 64;
constexpr long kPidfdOpen = 434;

// build/Release/vfiofs-graft, beside the addon.
std::string helperPath() {
  Dl_info info;
  dladdr(reinterpret_cast<void*>(&exportGraft), &info);
  std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "vfiofs-graft";
}

// Starts the helper with `socket` as its descriptor 3. 0 or an errno.
int spawnHelper(pid_t tid, int socket, pid_t* helper) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, kGraftSocket);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = "vfiofs-graft", number = std::to_string(tid);
  char* arguments[] = {name.data(), number.data(), nullptr};
  char* variables[] = {nullptr};
  int error = posix_spawn(helper, helperPath().c_str(), &actions, &attributes, arguments, variables);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// A helper and the promises it owes. Lives as long as its polls.
class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}
  ~Session() {
    if (socket_ >= 0) close(socket_);
    if (pidfd_ >= 0) close(pidfd_);
  }

  int start(pid_t tid) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return errno;
    socket_ = ends[0];
    pid_t helper = 0;
    int error = spawnHelper(tid, ends[1], &helper);
    close(ends[1]);
    if (error) return error;
    pidfd_ = static_cast<int>(syscall(kPidfdOpen, helper, 0));
    if (pidfd_ < 0) return errno;
    answers_ = environment_->poll(socket_, [self = shared_from_this()](int) { self->onAnswer(); });
    answers_.unref();
    exit_ = environment_->poll(pidfd_, [self = shared_from_this(), helper](int) {
      waitpid(helper, nullptr, WNOHANG);
      self->exit_.close();
      // Now, not when the Graft object is collected: the number of grafts must not decide how many descriptors are open.
      close(self->pidfd_);
      self->pidfd_ = -1;
    });
    exit_.unref();
    return 0;
  }

  // The next answer settles this promise; `value` is then what it said.
  Napi::Promise expect(Environment::Settle settle) {
    Napi::Promise promise;
    promises_.push_back(environment_->openPromise(std::move(settle), &promise));
    return promise;
  }

  Napi::Promise order(const GraftCommand& command, Environment::Settle settle) {
    Napi::Promise promise = expect(std::move(settle));
    bool sent = socket_ >= 0 && send(socket_, &command, sizeof command, MSG_NOSIGNAL) == sizeof command;
    if (!sent) fail(ESRCH);
    return promise;
  }

  // Settles the first promise in a callback of its own: whoever got it has not seen it yet.
  void fail(int error) {
    environment_->mailbox()->post([self = shared_from_this(), error] {
      if (!self->promises_.empty()) self->settleFirst(error);
    });
  }

  // Lets go of the helper, which restores and frees its tracee.
  void end() {
    answers_.close();
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
    counted_.reset();
    while (!promises_.empty()) settleFirst(ESRCH);
  }

  int32_t value = 0;

 private:
  void onAnswer() {
    GraftAnswer answer;
    ssize_t length = recv(socket_, &answer, sizeof answer, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return;
    if (length != sizeof answer) return end();
    value = answer.value;
    if (!promises_.empty()) settleFirst(value < 0 ? -value : 0);
  }

  void settleFirst(int error) {
    uint64_t id = promises_.front();
    promises_.pop_front();
    environment_->settlePromise(id, error);
  }

  std::shared_ptr<Environment> environment_;
  std::unique_ptr<Counted> counted_ = std::make_unique<Counted>(counts.grafts);
  int socket_ = -1;
  int pidfd_ = -1;
  LoopHandle answers_;
  LoopHandle exit_;
  std::deque<uint64_t> promises_;
};

class Graft : public Wrap<Graft> {
 public:
  static constexpr const char* kName = "Graft";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 5};

  explicit Graft(const Napi::CallbackInfo& info) : Wrap(info) {}
  // Dropped without finish(): the helper finishes.
  ~Graft() override {
    if (session_) session_->end();
  }

  void init(Napi::Env, std::shared_ptr<Session> session) { session_ = std::move(session); }

  static std::vector<PropertyDescriptor> properties() {
    return {InstanceMethod("openat", &Graft::openat), InstanceMethod("close", &Graft::close),
            InstanceMethod("finish", &Graft::finish)};
  }

  Napi::Value openat(const Napi::CallbackInfo& info) {
    GraftCommand command{GraftOperation::Openat, fdArgument(info, 0),
                         static_cast<int32_t>(integerArgument(info, 1, "flags", 0, INT_MAX)), 0};
    auto opened = [session = session_, self = keep()](Napi::Env env) {
      return Napi::Number::New(env, session->value);
    };
    return session_->order(command, Environment::orReject("openat", opened));
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    GraftCommand command{GraftOperation::Close, fdArgument(info, 0), 0, 0};
    return session_->order(command, Environment::orReject("close"));
  }

  Napi::Value finish(const Napi::CallbackInfo& info) {
    GraftCommand command{GraftOperation::Finish, 0, 0, integerArgument(info, 0, "result", -4095, INT_MAX)};
    auto settle = Environment::orReject("ptrace");
    auto finished = [session = session_, self = keep(), settle](Napi::Env env, auto& deferred, int error) {
      session->end();
      settle(env, deferred, error);
    };
    return session_->order(command, finished);
  }

 private:
  std::shared_ptr<Napi::ObjectReference> keep() {
    return std::make_shared<Napi::ObjectReference>(Napi::Persistent(Value()));
  }

  std::shared_ptr<Session> session_;
};

Napi::Value graftBegin(const Napi::CallbackInfo& info) {
  auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", INT_MIN, INT_MAX));
  auto session = std::make_shared<Session>(Environment::of(info.Env()).shared_from_this());
  Napi::Promise promise = session->expect(
      [session](Napi::Env env, Napi::Promise::Deferred& deferred, int error) {
        if (!error) return deferred.Resolve(Graft::create(env, session));
        deferred.Reject(systemError(env, error, "ptrace").Value());
        session->end();
      });
  int error = counts.grafts > kMostGrafts ? EAGAIN : session->start(tid);
  if (error) session->fail(error);
  return promise;
}
}  // namespace

void exportGraft(Napi::Env env, Napi::Object exports) {
  Graft::define(env);
  exports.Set("graftBegin", Napi::Function::New(env, graftBegin, "graftBegin"));
}
