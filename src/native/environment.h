// One Environment per JavaScript environment (the main thread, or a worker): its libuv handles, the way back
// to its loop for threads, the promises that threads settle, and the orderly end of all of that.
#pragma once

#include <napi.h>
#include <uv.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

class Crew;
class Environment;

// A libuv handle. libuv needs its memory until the close callback, long after the owner may be gone.
struct HandleBox {
  union {
    uv_handle_t any;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_idle_t idle;
    uv_async_t async;
  } uv;
  std::function<void(int status)> callback;  // status: 0, or a libuv error of a poll
  Environment* environment = nullptr;
  bool closing = false;
};

// Owns a HandleBox: closes it when destroyed. Move-only.
class LoopHandle {
 public:
  LoopHandle() = default;
  explicit LoopHandle(std::shared_ptr<HandleBox> box) : box_(std::move(box)) {}
  LoopHandle(LoopHandle&&) = default;
  LoopHandle& operator=(LoopHandle&& other) {
    close();
    box_ = std::move(other.box_);
    return *this;
  }
  ~LoopHandle() { close(); }
  void close();
  void unref() const { uv_unref(&box_->uv.any); }
  void ref() const { uv_ref(&box_->uv.any); }
  // Null once closed, by the owner or by the end of the environment.
  HandleBox* get() const { return box_ && !box_->closing ? box_.get() : nullptr; }

 private:
  std::shared_ptr<HandleBox> box_;
};

// Letters from threads to the loop; outlives the environment, and then drops them.
class Mailbox {
 public:
  // Any thread. `task` runs on the loop, or never.
  void post(std::function<void()> task);

 private:
  friend class Environment;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  uv_async_t* async_ = nullptr;  // null: the environment has ended
};

// Something with threads or a connection that must end before the environment does.
class Ending {
 public:
  virtual ~Ending() = default;
  virtual void end() = 0;
};

// Work of threads that uses JavaScript's own memory, and ends soon: the environment waits for it before it
// goes.
class Rundown {
 public:
  // False: too late, leave the memory alone.
  bool enter();
  void leave();
  // Returns when the last has left.
  void end();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  int inside_ = 0;
  bool ended_ = false;
};

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // Settles a promise on the loop: `error` is 0 or an errno.
  using Settle = std::function<void(Napi::Env, Napi::Promise::Deferred&, int error)>;
  // The usual one: rejects with the error of `call`, or resolves to what `value` makes (undefined without
  // it).
  static Settle orReject(const char* call, std::function<Napi::Value(Napi::Env)> value = {});

  static void install(Napi::Env env);
  static Environment& of(Napi::Env env);

  Napi::Env env() const { return env_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  const std::shared_ptr<Rundown>& rundown() const { return rundown_; }

  // Polls `fd` (which must not be polled by anybody else in this loop) for being readable. Throws.
  LoopHandle poll(int fd, std::function<void(int status)> callback);
  LoopHandle timer(uint64_t milliseconds, std::function<void(int)> callback);
  // Made, not started: once it is, every turn of the loop calls back, and none sleeps.
  LoopHandle idle(std::function<void(int)> callback);
  void startIdle(const LoopHandle& handle);

  // Runs `task` as a callback from the loop: in its own scopes, with the microtasks after it; what it throws
  // is uncaught.
  void enter(const std::function<void()>& task);
  // The same around one call of a JavaScript function.
  void call(const Napi::FunctionReference& function, const std::vector<napi_value>& arguments);

  // Runs `work` (thread; returns 0 or an errno; may sleep for ever) and then settles the promise returned,
  // with ETIMEDOUT when it takes longer than `timeoutMs` (0: no limit), with EAGAIN when all threads are
  // busy. `work` may own native things only, and frees them itself however late it wakes; `settle` lives and
  // dies on the loop.
  Napi::Promise elsewhere(Crew& crew, int owner, int64_t timeoutMs, std::function<int()> work, Settle settle);

  // A promise that `settlePromise` settles, at most once; keeps the loop alive until then.
  uint64_t openPromise(Settle settle, Napi::Promise* promise);
  void settlePromise(uint64_t id, int error);

  // The constructor of a Wrap (wrap.h), by its name.
  Napi::FunctionReference& constructorOf(const char* name) { return constructors_[name]; }

  void add(Ending* ending) { endings_.insert(ending); }
  void remove(Ending* ending) { endings_.erase(ending); }

 private:
  friend class LoopHandle;
  struct Pending {
    Napi::Promise::Deferred deferred;
    Settle settle;
    LoopHandle timeout;
  };

  explicit Environment(Napi::Env env);
  std::shared_ptr<HandleBox> box(std::function<void(int)> callback);
  void closeBox(HandleBox* box);
  // What libuv calls: the box's callback, in a handle scope; what it throws is uncaught.
  static void fire(void* box, int status);
  void onLetters();
  static void onCleanup(napi_async_cleanup_hook_handle handle, void* data);
  void endNow();

  Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  std::unique_ptr<Napi::AsyncContext> context_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::shared_ptr<Rundown> rundown_ = std::make_shared<Rundown>();
  LoopHandle letters_;
  std::unordered_map<HandleBox*, std::shared_ptr<HandleBox>> boxes_;
  std::unordered_set<Ending*> endings_;
  std::unordered_map<std::string, Napi::FunctionReference> constructors_;
  std::unordered_map<uint64_t, Pending> pending_;
  uint64_t nextPromise_ = 1;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool ended_ = false;
};
