#include "signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "arguments.h"
#include "environment.h"
#include "errors.h"

namespace {
struct Received {
  int signal;
  int code;
  pid_t sender;
};

// A process has one table of handlers, so there is one receiver.
int toLoop = -1;

void onSignal(int signal, siginfo_t* info, void*) {
  int error = errno;
  Received received{signal, info->si_code, info->si_code > 0 ? 0 : info->si_pid};
  // A full pipe has thousands of them in it already.
  (void)!write(toLoop, &received, sizeof received);
  errno = error;
}

struct Receiver {
  int ends[2] = {-1, -1};
  LoopHandle poll;
  Napi::FunctionReference callback;
  std::vector<std::pair<int, struct sigaction>> before;

  void stop() {
    for (auto& [signal, action] : before) sigaction(signal, &action, nullptr);
    before.clear();
    if (ends[0] < 0) return;
    poll.close();
    callback.Reset();
    toLoop = -1;
    for (int& end : ends) close(std::exchange(end, -1));
  }
  ~Receiver() { stop(); }
};

Napi::Value receiveSignals(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto& environment = Environment::of(env);
  if (!info[0].IsArray()) throw Napi::TypeError::New(env, "signals must be an array");
  auto signals = info[0].As<Napi::Array>();
  Napi::Function callback = functionArgument(info, 1, "callback");
  if (toLoop >= 0) fail(env, EBUSY, "sigaction");
  auto receiver = std::make_shared<Receiver>();
  checked(env, pipe2(receiver->ends, O_CLOEXEC | O_NONBLOCK), "pipe2");
  toLoop = receiver->ends[1];
  receiver->callback = Napi::Persistent(callback);
  for (uint32_t i = 0; i < signals.Length(); i++) {
    auto signal = static_cast<int>(integerValue(signals.Get(i), "signal", 1, NSIG - 1));
    struct sigaction action {}, old {};
    action.sa_sigaction = onSignal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    checked(env, sigaction(signal, &action, &old), "sigaction");
    receiver->before.emplace_back(signal, old);
  }
  receiver->poll = environment.poll(receiver->ends[0], [receiver, &environment, env](int) {
    Received received;
    while (receiver->ends[0] >= 0 && read(receiver->ends[0], &received, sizeof received) == sizeof received) {
      environment.call(receiver->callback,
                       {Napi::Number::New(env, received.signal), Napi::Number::New(env, received.sender),
                        Napi::Boolean::New(env, received.code > 0)});
    }
  });
  return Napi::Function::New(env, [receiver](const Napi::CallbackInfo&) { receiver->stop(); }, "stop");
}
}  // namespace

void exportSignals(Napi::Env env, Napi::Object exports) {
  exports.Set("receiveSignals", Napi::Function::New(env, receiveSignals, "receiveSignals"));
}
