#include "pin-handle.h"

#include <cerrno>
#include <vector>

#include "arguments.h"
#include "crew.h"
#include "descriptor.h"
#include "errors.h"
#include "wrap.h"

namespace {
class PinHandle : public Wrap<PinHandle> {
 public:
  static constexpr const char* kName = "PinHandle";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 4};

  explicit PinHandle(const Napi::CallbackInfo& info) : Wrap(info) {}

  void init(Napi::Env env, std::shared_ptr<Pin> pin) {
    pin_ = std::move(pin);
    auto length = Napi::Number::New(env, static_cast<double>(pin_->length));
    auto shared = Napi::Boolean::New(env, pin_->shared());
    auto device = Napi::Boolean::New(env, pin_->device());
    Value().DefineProperties({
        Napi::PropertyDescriptor::Value("length", length, napi_enumerable),
        Napi::PropertyDescriptor::Value("shared", shared, napi_enumerable),
        Napi::PropertyDescriptor::Value("device", device, napi_enumerable),
    });
  }

  static std::vector<PropertyDescriptor> properties() {
    return {
        InstanceMethod("read", &PinHandle::read),
        InstanceMethod("write", &PinHandle::write),
        InstanceMethod("release", &PinHandle::release),
    };
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    uint64_t offset = offsetArgument(info);
    Bytes target = bytesArgument(info, 1, "target");
    Place pin = place(info.Env());
    return copy(info.Env(), {pin, offset, {nullptr, target.data, target.length}, 0, target.length});
  }

  Napi::Value write(const Napi::CallbackInfo& info) {
    uint64_t offset = offsetArgument(info);
    Bytes source = bytesArgument(info, 1, "source");
    Place pin = place(info.Env());
    return copy(info.Env(), {{nullptr, source.data, source.length}, 0, pin, offset, source.length});
  }

  // A copy under way keeps what it needs.
  void release(const Napi::CallbackInfo&) { pin_.reset(); }

  Place place(Napi::Env env) const {
    if (!pin_) fail(env, EFAULT, "pin");
    return {pin_, nullptr, pin_->length};
  }

 private:
  static uint64_t offsetArgument(const Napi::CallbackInfo& info) {
    return static_cast<uint64_t>(integerArgument(info, 0, "offset", 0, kMaxSafeInteger));
  }

  static Napi::Value copy(Napi::Env env, const Piece& piece) {
    if (!piece.inBounds()) throw Napi::RangeError::New(env, "the bytes are not inside the pin");
    if (int error = piece.source.check(false)) fail(env, error, "pin");
    if (int error = piece.target.check(true)) fail(env, error, "pin");
    bool resident = piece.source.residency(piece.sourceOffset, piece.length, false) == Residency::Resident &&
                    piece.target.residency(piece.targetOffset, piece.length, true) == Residency::Resident;
    if (!resident) return Napi::Number::New(env, -1);
    if (int error = piece.copyOnLoop()) fail(env, error, "pin");
    return Napi::Number::New(env, static_cast<double>(piece.length));
  }

  std::shared_ptr<Pin> pin_;
};
}  // namespace

Napi::Value pinElsewhere(Napi::Env env, std::shared_ptr<Process> process, uint64_t address, uint64_t length,
                         bool write, int64_t timeoutMs) {
  pid_t owner = process->pid;
  // Filled by the thread, read by the loop after it; a thread too late frees it with its last reference.
  auto pin = std::make_shared<std::shared_ptr<Pin>>();
  return Environment::of(env).elsewhere(
      memoryCrew(), owner, timeoutMs,
      [process = std::move(process), address, length, write, pin] {
        return Pin::hold(process, address, length, write, pin.get());
      },
      Environment::orReject("pin", [pin](Napi::Env env) { return PinHandle::create(env, std::move(*pin)); }));
}

Napi::Value pinNow(Napi::Env env, const std::shared_ptr<Process>& process, uint64_t address, uint64_t length,
                   bool write) {
  std::shared_ptr<Pin> pin;
  int error = Pin::holdNow(process, address, length, write, &pin);
  if (error == Pin::kElsewhere) return env.Undefined();
  if (error) fail(env, error, "pin");
  return PinHandle::create(env, std::move(pin));
}

namespace {
Napi::Value pinFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = fdArgument(info, 0);
  auto offset = static_cast<uint64_t>(integerArgument(info, 1, "offset", 0, kMaxSafeInteger));
  auto length = static_cast<uint64_t>(integerArgument(info, 2, "length", 1, kMaxSafeInteger));
  bool write = info[3].ToBoolean();
  int64_t timeoutMs = timeoutArgument(info, 4);
  auto owned = ownedCopy(env, fd);
  auto pin = std::make_shared<std::shared_ptr<Pin>>();
  return Environment::of(env).elsewhere(
      memoryCrew(), 0, timeoutMs,
      [owned, offset, length, write, pin] { return Pin::holdFile(*owned, offset, length, write, pin.get()); },
      Environment::orReject("pin", [pin](Napi::Env env) { return PinHandle::create(env, std::move(*pin)); }));
}
}  // namespace

Place placeOf(Napi::Value value, const char* name) {
  if (PinHandle::is(value)) return PinHandle::from(value, name)->place(value.Env());
  Bytes bytes = bytesOf(value, name);
  return {nullptr, bytes.data, bytes.length};
}

void exportPin(Napi::Env env, Napi::Object exports) {
  PinHandle::define(env);
  exports.Set("pinFile", Napi::Function::New(env, pinFile, "pinFile"));
}
