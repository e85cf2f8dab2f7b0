#include "process-handle.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <vector>

#include "arguments.h"
#include "crew.h"
#include "descriptor.h"
#include "errors.h"
#include "loop-copy.h"
#include "pin-handle.h"
#include "process.h"
#include "turn.h"
#include "wrap.h"

namespace {
constexpr long kPidfdGetfd = 438;

class ProcessHandle : public Wrap<ProcessHandle> {
 public:
  static constexpr const char* kName = "ProcessHandle";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 2};

  explicit ProcessHandle(const Napi::CallbackInfo& info) : Wrap(info) {}

  void init(Napi::Env env, std::shared_ptr<Process> process) {
    process_ = std::move(process);
    Value().DefineProperty(
        Napi::PropertyDescriptor::Value("pid", Napi::Number::New(env, process_->pid), napi_enumerable));
  }

  static std::vector<PropertyDescriptor> properties() {
    return {
        InstanceMethod("isAlive", &ProcessHandle::isAlive),
        InstanceMethod("hasThread", &ProcessHandle::hasThread),
        InstanceMethod("onExit", &ProcessHandle::onExit),
        InstanceMethod("read", &ProcessHandle::read),
        InstanceMethod("write", &ProcessHandle::write),
        InstanceMethod("readWaiting", &ProcessHandle::readWaiting),
        InstanceMethod("writeWaiting", &ProcessHandle::writeWaiting),
        InstanceMethod("readBlocking", &ProcessHandle::readBlocking),
        InstanceMethod("writeBlocking", &ProcessHandle::writeBlocking),
        InstanceMethod("getFd", &ProcessHandle::getFd),
        InstanceMethod("pin", &ProcessHandle::pin),
        InstanceMethod("pinNow", &ProcessHandle::pinNow),
        InstanceMethod("close", &ProcessHandle::close),
    };
  }

  Napi::Value isAlive(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), process_ && process_->alive());
  }

  Napi::Value hasThread(const Napi::CallbackInfo& info) {
    auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", INT_MIN, INT_MAX));
    return Napi::Boolean::New(info.Env(), process_ && process_->hasThread(tid));
  }

  void onExit(const Napi::CallbackInfo& info) {
    Process& process = held(info.Env());
    auto& environment = Environment::of(info.Env());
    listeners_.push_back(Napi::Persistent(functionArgument(info, 0, "callback")));
    if (exit_.get()) return;
    exit_ = environment.poll(process.pidfd, [this, &environment](int) {
      auto listeners = std::move(listeners_);
      forget();
      for (auto& listener : listeners) environment.call(listener, {});
    });
    exit_.unref();
    Ref();  // a handle somebody waits on is not collected
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    uint64_t address = addressArgument(info);
    Bytes target = bytesArgument(info, 1, "target");
    if (!resident(env, address, target.length, false)) return Napi::Number::New(env, -1);
    LoopCopy copy(process_.get());
    if (int error = process_->read(address, target.data, target.length)) fail(env, error, "process_vm_readv");
    return Napi::Number::New(env, static_cast<double>(target.length));
  }

  Napi::Value write(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    uint64_t address = addressArgument(info);
    Bytes source = bytesArgument(info, 1, "source");
    if (!resident(env, address, source.length, true)) return Napi::Number::New(env, -1);
    LoopCopy copy(process_.get());
    if (int error = process_->write(address, source.data, source.length)) fail(env, error, "process_vm_writev");
    return Napi::Number::New(env, static_cast<double>(source.length));
  }

  Napi::Value readWaiting(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", 0, INT_MAX));
    uint64_t address = addressArgument(info, 1);
    Bytes target = bytesArgument(info, 2, "target");
    if (!plain(tid, address, target.length, false)) return Napi::Number::New(env, -1);
    LoopCopy copy(process_.get());
    if (int error = Process::readWaiting(tid, address, target.data, target.length)) fail(env, error, "process_vm_readv");
    return Napi::Number::New(env, static_cast<double>(target.length));
  }

  Napi::Value writeWaiting(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", 0, INT_MAX));
    uint64_t address = addressArgument(info, 1);
    Bytes source = bytesArgument(info, 2, "source");
    if (!plain(tid, address, source.length, true)) return Napi::Number::New(env, -1);
    LoopCopy copy(process_.get());
    if (int error = Process::writeWaiting(tid, address, source.data, source.length)) fail(env, error, "process_vm_writev");
    return Napi::Number::New(env, static_cast<double>(source.length));
  }

  // Bytes go through a native buffer: a thread that wakes after the deadline must not meet a collected one.
  Napi::Value readBlocking(const Napi::CallbackInfo& info) {
    Process& process = held(info.Env());
    uint64_t address = addressArgument(info);
    Bytes target = bytesArgument(info, 1, "target");
    int64_t timeoutMs = timeoutArgument(info, 2);
    auto bounce = std::make_shared<std::vector<uint8_t>>(target.length);
    auto keep = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info[1].As<Napi::Object>()));
    return Environment::of(info.Env())
        .elsewhere(
            memoryCrew(), process.pid, timeoutMs,
            [process = process_, address, bounce] { return process->read(address, bounce->data(), bounce->size()); },
            Environment::orReject("process_vm_readv", [bounce, keep](Napi::Env env) {
              // Looked up again: the array may have been detached meanwhile.
              Bytes target = bytesOf(keep->Value(), "target");
              std::copy_n(bounce->data(), std::min(target.length, bounce->size()), target.data);
              return env.Undefined();
            }));
  }

  Napi::Value writeBlocking(const Napi::CallbackInfo& info) {
    Process& process = held(info.Env());
    uint64_t address = addressArgument(info);
    Bytes source = bytesArgument(info, 1, "source");
    int64_t timeoutMs = timeoutArgument(info, 2);
    auto bounce = std::make_shared<std::vector<uint8_t>>(source.data, source.data + source.length);
    return Environment::of(info.Env())
        .elsewhere(
            memoryCrew(), process.pid, timeoutMs,
            [process = process_, address, bounce] { return process->write(address, bounce->data(), bounce->size()); },
            Environment::orReject("process_vm_writev"));
  }

  Napi::Value getFd(const Napi::CallbackInfo& info) {
    Process& process = held(info.Env());
    int fd = fdArgument(info, 0);
    long copy = syscall(kPidfdGetfd, process.pidfd, fd, 0);
    return Napi::Number::New(info.Env(), checked(info.Env(), static_cast<int>(copy), "pidfd_getfd"));
  }

  Napi::Value pin(const Napi::CallbackInfo& info) {
    held(info.Env());
    uint64_t address = addressArgument(info);
    auto length = static_cast<uint64_t>(integerArgument(info, 1, "length", 1, kMaxSafeInteger));
    bool write = info[2].ToBoolean();
    return pinElsewhere(info.Env(), process_, address, length, write, timeoutArgument(info, 3));
  }

  Napi::Value pinNow(const Napi::CallbackInfo& info) {
    held(info.Env());
    uint64_t address = addressArgument(info);
    auto length = static_cast<uint64_t>(integerArgument(info, 1, "length", 1, kMaxSafeInteger));
    return ::pinNow(info.Env(), process_, address, length, info[2].ToBoolean());
  }

  void close(const Napi::CallbackInfo&) {
    forget();
    process_.reset();
  }

 private:
  void forget() {
    listeners_.clear();
    if (!exit_.get()) return;
    exit_.close();
    Unref();
  }

  Process& held(Napi::Env env) const {
    if (!process_) fail(env, ESRCH, "pidfd");
    return *process_;
  }

  // User pointers end at 2^47 (2^56 with five levels): whatever is no safe integer is no address.
  static uint64_t addressArgument(const Napi::CallbackInfo& info, size_t index = 0) {
    if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "address must be a number");
    double address = info[index].As<Napi::Number>().DoubleValue();
    if (address > static_cast<double>(kMaxSafeInteger)) fail(info.Env(), EFAULT, "process_vm_readv");
    return static_cast<uint64_t>(integerArgument(info, index, "address", 0, kMaxSafeInteger));
  }

  // `tid` waits in this turn, and what it points to is there.
  bool plain(pid_t tid, uint64_t address, size_t length, bool write) const {
    return process_ && Turn::isWaiting(tid) && process_->residency(address, length, write) == Residency::Resident;
  }

  bool resident(Napi::Env env, uint64_t address, size_t length, bool write) const {
    Process& process = held(env);
    Residency residency = process.residency(address, length, write);
    if (residency == Residency::Resident) return true;  // the copy itself looks whether the process lives
    if (residency == Residency::Impossible || !process.alive()) fail(env, EFAULT, "process_vm_readv");
    return false;
  }

  std::shared_ptr<Process> process_;
  LoopHandle exit_;
  std::vector<Napi::FunctionReference> listeners_;
};

Napi::Value openProcess(const Napi::CallbackInfo& info) {
  auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", INT_MIN, INT_MAX));
  auto process = Process::open(tid);
  if (!process) fail(info.Env(), errno, "pidfd_open");
  return ProcessHandle::create(info.Env(), process);
}

Napi::Value capabilities(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto tid = static_cast<pid_t>(integerArgument(info, 0, "tid", INT_MIN, INT_MAX));
  if (tid <= 0) fail(env, ESRCH, "capget");  // 0 would be ourselves
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, tid};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  checked(env, static_cast<int>(syscall(SYS_capget, &header, data)), "capget");
  uint64_t effective = data[0].effective | (static_cast<uint64_t>(data[1].effective) << 32);
  return Napi::BigInt::New(env, effective);
}

Napi::Value fdLink(const Napi::CallbackInfo& info) {
  // By a relative name, which no supervisor of a `run` that we are in takes for a descriptor's: it would ask us, who wait, what the file is.
  static const int descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  std::string name = std::to_string(fdArgument(info, 0));
  char text[PATH_MAX];
  ssize_t length = readlinkat(descriptors, name.c_str(), text, sizeof text);
  if (length < 0) fail(info.Env(), errno == ENOENT ? EBADF : errno, "readlink");
  return Napi::String::New(info.Env(), text, static_cast<size_t>(length));
}

Napi::Value pollElsewhere(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = fdArgument(info, 0);
  auto events = static_cast<short>(integerArgument(info, 1, "events", 0, SHRT_MAX));
  int64_t timeoutMs = timeoutArgument(info, 2);
  auto owned = ownedCopy(env, fd);
  return Environment::of(env).elsewhere(
      pollCrew(), 0, timeoutMs,
      [owned, events] {
        pollfd file{*owned, events, 0};
        return poll(&file, 1, 0) < 0 ? errno : 0;
      },
      [](Napi::Env env, Napi::Promise::Deferred& deferred, int error) {
        deferred.Resolve(Napi::Number::New(env, error));
      });
}
}  // namespace

void exportProcess(Napi::Env env, Napi::Object exports) {
  ProcessHandle::define(env);
  exports.Set("openProcess", Napi::Function::New(env, openProcess, "openProcess"));
  exports.Set("capabilities",
              Napi::Function::New(env, capabilities, "capabilities"));
  exports.Set("fdLink", Napi::Function::New(env, fdLink, "fdLink"));
  exports.Set("pollElsewhere", Napi::Function::New(env, pollElsewhere, "pollElsewhere"));
}
