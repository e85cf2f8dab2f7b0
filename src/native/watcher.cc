#include "watcher.h"

#include <climits>

#include "arguments.h"
#include "errors.h"
#include "watch-thread.h"
#include "wrap.h"

namespace {
class PageWatcher : public Wrap<PageWatcher>, public Ending {
 public:
  static constexpr const char* kName = "PageWatcher";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 6};

  explicit PageWatcher(const Napi::CallbackInfo& info) : Wrap(info) {}
  ~PageWatcher() override { end(); }

  void init(Napi::Env env, std::shared_ptr<Mapping> mapping, Napi::Array registers, Napi::Function callback) {
    environment_ = Environment::of(env).shared_from_this();
    callback_ = Napi::Persistent(callback);
    self_ = std::make_shared<PageWatcher*>(this);
    auto notify = [mailbox = environment_->mailbox(), self = self_] {
      mailbox->post([self] {
        if (*self) (*self)->deliver();
      });
    };
    auto page = std::make_shared<WatchedPage>(mapping, notify);
    for (uint32_t index = 0; index < registers.Length(); index++) addRegister(*page, *mapping, registers[index]);
    page_ = std::move(page);
    count_ = registers.Length();
    WatchThread::get().add(page_);
    counted_ = std::make_unique<Counted>(counts.watchers);
    environment_->add(this);
  }

  static std::vector<PropertyDescriptor> properties() {
    return {
        InstanceMethod("start", &PageWatcher::start),   InstanceMethod("stop", &PageWatcher::stop),
        InstanceMethod("kick", &PageWatcher::kick),     InstanceMethod("settle", &PageWatcher::settle),
        InstanceMethod("close", &PageWatcher::close),
    };
  }

  void start(const Napi::CallbackInfo&) {
    if (!page_ || started_) return;
    started_ = true;
    Ref();  // one that looks is not collected
    WatchThread::get().activate(*page_, true);
  }

  void stop(const Napi::CallbackInfo&) { halt(); }

  void kick(const Napi::CallbackInfo&) {
    if (started_) WatchThread::get().kick();
  }

  void settle(const Napi::CallbackInfo& info) {
    int64_t index = integerArgument(info, 0, "index", 0, static_cast<int64_t>(count_) - 1);
    if (page_) WatchThread::get().settle(*page_, static_cast<size_t>(index));
  }

  void close(const Napi::CallbackInfo&) { end(); }

  void end() override {
    if (!page_) return;
    environment_->remove(this);
    halt();
    WatchThread::get().remove(page_);
    page_.reset();
    *self_ = nullptr;
    callback_.Reset();
    counted_.reset();
  }

 private:
  static void addRegister(WatchedPage& page, const Mapping& mapping, Napi::Value value) {
    if (!value.IsObject()) throw Napi::TypeError::New(value.Env(), "a register must be an object");
    auto object = value.As<Napi::Object>();
    int64_t width = integerValue(object.Get("width"), "width", 1, 8);
    int64_t offset = integerValue(object.Get("offset"), "offset", 0, static_cast<int64_t>(mapping.length) - width);
    // Only aligned words of the machine are read at once.
    if ((width & (width - 1)) != 0 || offset % width != 0) {
      throw Napi::RangeError::New(value.Env(), "a register must be an aligned word of 1, 2, 4 or 8 bytes");
    }
    page.addRegister(static_cast<uint64_t>(offset), static_cast<unsigned>(width));
  }

  void halt() {
    if (!started_) return;
    started_ = false;
    WatchThread::get().activate(*page_, false);
    Unref();
  }

  void deliver() {
    auto environment = environment_;
    napi_env env = environment->env();
    for (auto [index, value] : WatchThread::get().take(*page_)) {
      environment->call(callback_, {Napi::Number::New(env, index), Napi::BigInt::New(env, value)});
      if (!page_) return;  // closed by the callback
    }
  }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<WatchedPage> page_;
  std::shared_ptr<PageWatcher*> self_;  // null once closed: letters under way find out
  Napi::FunctionReference callback_;
  std::unique_ptr<Counted> counted_;
  size_t count_ = 0;
  bool started_ = false;
};

Napi::Value watch(const Napi::CallbackInfo& info) {
  auto mapping = mappingOf(info[0]);
  if (!info[1].IsArray()) throw Napi::TypeError::New(info.Env(), "registers must be an array");
  return PageWatcher::create(info.Env(), mapping, info[1].As<Napi::Array>(), functionArgument(info, 2, "callback"));
}
}  // namespace

void exportWatcher(Napi::Env env, Napi::Object exports) {
  PageWatcher::define(env);
  exports.Set("watch", Napi::Function::New(env, watch, "watch"));
}
