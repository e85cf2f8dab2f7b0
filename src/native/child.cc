#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>
#include <vector>

#include "arguments.h"
#include "errors.h"

namespace {
constexpr int kStandard = 3;

int signalArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<int>(integerArgument(info, index, "signal", 1, NSIG - 1));
}

std::vector<std::string> stringsArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsArray()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be an array");
  auto array = info[index].As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++) result.push_back(array.Get(i).ToString().Utf8Value());
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// libuv sets pipes that it looks at not to block, and that belongs to the open file, which the child shares.
void makeBlocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && flags & O_NONBLOCK) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

class Actions {
 public:
  Actions() { posix_spawn_file_actions_init(&actions_); }
  ~Actions() {
    posix_spawn_file_actions_destroy(&actions_);
    for (int copy : copies_) close(copy);
  }
  // By a copy out of the way: one given could be the number that another is to have.
  int give(int fd, int number) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 64);
    if (copy < 0) return errno;
    copies_.push_back(copy);
    return posix_spawn_file_actions_adddup2(&actions_, copy, number);
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
  std::vector<int> copies_;
};

Napi::Value startChild(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto words = stringsArgument(info, 0, "words");
  auto variables = stringsArgument(info, 1, "environment");
  if (words.empty()) throw Napi::TypeError::New(env, "words must not be empty");
  if (!info[2].IsArray()) throw Napi::TypeError::New(env, "descriptors must be an array");
  auto descriptors = info[2].As<Napi::Array>();
  Actions actions;
  for (uint32_t i = 0; i < descriptors.Length(); i++) {
    auto fd = static_cast<int>(integerValue(descriptors.Get(i), "descriptor", -1, INT_MAX));
    if (fd < 0) continue;
    if (int error = actions.give(fd, kStandard + static_cast<int>(i))) fail(env, error, "dup");
  }
  for (int fd = 0; fd < kStandard; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;  // closed it is, and closed it stays
    makeBlocking(fd);
    // Node has set ours to be closed on exec.
    if (int error = actions.give(fd, fd)) fail(env, error, "dup");
  }
  auto arguments = pointers(words), environment = pointers(variables);
  pid_t pid;
  if (int error = posix_spawn(&pid, arguments[0], actions.get(), nullptr, arguments.data(), environment.data())) {
    fail(env, error, "posix_spawn");
  }
  return Napi::Number::New(env, pid);
}

Napi::Value waitChild(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto pid = static_cast<id_t>(integerArgument(info, 0, "pid", 1, INT_MAX));
  siginfo_t change{};
  checked(env, waitid(P_PID, pid, &change, WEXITED | WSTOPPED | WNOHANG), "waitid");
  if (change.si_pid == 0) return env.Undefined();
  const char* how = change.si_code == CLD_EXITED ? "code" : change.si_code == CLD_STOPPED ? "stopped" : "signal";
  auto result = Napi::Object::New(env);
  result.Set(how, Napi::Number::New(env, change.si_status));
  return result;
}

// What a signal does by itself, whatever was made of it here: glibc refuses those it uses, which have their default action.
struct sigaction byDefault(int signal) {
  struct sigaction standard {}, before {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, &before);
  return before;
}

void raiseUnblocked(int signal) {
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, &before);
  raise(signal);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void stopSelf(const Napi::CallbackInfo& info) {
  int signal = signalArgument(info, 0);
  auto before = byDefault(signal);
  raiseUnblocked(signal);
  sigaction(signal, &before, nullptr);
}

void dieBy(const Napi::CallbackInfo& info) {
  int signal = signalArgument(info, 0);
  // Where the command's core went ours would go, too.
  checked(info.Env(), prctl(PR_SET_DUMPABLE, 0), "prctl");
  byDefault(signal);
  raiseUnblocked(signal);
}

void exitNow(const Napi::CallbackInfo& info) { _exit(static_cast<int>(integerArgument(info, 0, "code", 0, 255))); }

Napi::Value groupOf(const Napi::CallbackInfo& info) {
  auto pid = static_cast<pid_t>(integerArgument(info, 0, "pid", 0, INT_MAX));
  return Napi::Number::New(info.Env(), checked(info.Env(), getpgid(pid), "getpgid"));
}

Napi::Value isSessionLeader(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), getsid(0) == getpid());
}

Napi::Value terminalGroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return env.Undefined();
  pid_t group = tcgetpgrp(terminal);
  close(terminal);
  return group < 0 ? env.Undefined() : Napi::Number::New(env, group);
}

void giveTerminal(const Napi::CallbackInfo& info) {
  auto group = static_cast<pid_t>(integerArgument(info, 0, "group", 1, INT_MAX));
  int terminal = checked(info.Env(), open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), "open");
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  int error = tcsetpgrp(terminal, group) < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close(terminal);
  if (error) fail(info.Env(), error, "tcsetpgrp");
}
}  // namespace

void exportChild(Napi::Env env, Napi::Object exports) {
  exports.Set("startChild", Napi::Function::New(env, startChild, "startChild"));
  exports.Set("waitChild", Napi::Function::New(env, waitChild, "waitChild"));
  exports.Set("stopSelf", Napi::Function::New(env, stopSelf, "stopSelf"));
  exports.Set("dieBy", Napi::Function::New(env, dieBy, "dieBy"));
  exports.Set("exitNow", Napi::Function::New(env, exitNow, "exitNow"));
  exports.Set("groupOf", Napi::Function::New(env, groupOf, "groupOf"));
  exports.Set("isSessionLeader", Napi::Function::New(env, isSessionLeader, "isSessionLeader"));
  exports.Set("terminalGroup", Napi::Function::New(env, terminalGroup, "terminalGroup"));
  exports.Set("giveTerminal", Napi::Function::New(env, giveTerminal, "giveTerminal"));
}
