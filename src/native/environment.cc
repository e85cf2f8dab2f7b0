#include "environment.h"

#include <atomic>
#include <cerrno>

#include "crew.h"
#include "errors.h"

void LoopHandle::close() {
  if (box_ && !box_->closing) box_->environment->closeBox(box_.get());
  box_.reset();
}

void Mailbox::post(std::function<void()> task) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!async_) return;
  tasks_.push_back(std::move(task));
  uv_async_send(async_);
}

bool Rundown::enter() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!ended_) inside_++;
  return !ended_;
}

void Rundown::leave() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (--inside_ == 0) idle_.notify_all();
}

void Rundown::end() {
  std::unique_lock<std::mutex> lock(mutex_);
  ended_ = true;
  idle_.wait(lock, [this] { return inside_ == 0; });
}

Environment::Environment(Napi::Env env) : env_(env) {
  napi_get_uv_event_loop(env, &loop_);
  context_ = std::make_unique<Napi::AsyncContext>(env, "vfiofs");
  letters_ = LoopHandle(box([this](int) { onLetters(); }));
  uv_async_t* async = &letters_.get()->uv.async;
  uv_async_init(loop_, async, [](uv_async_t* async) { fire(async->data, 0); });
  letters_.unref();
  mailbox_->async_ = async;
}

void Environment::install(Napi::Env env) {
  auto* holder = new std::shared_ptr<Environment>(new Environment(env));
  env.SetInstanceData<std::shared_ptr<Environment>>(holder);
  napi_add_async_cleanup_hook(env, onCleanup, holder->get(), &(*holder)->cleanup_);
}

Environment& Environment::of(Napi::Env env) { return **env.GetInstanceData<std::shared_ptr<Environment>>(); }

std::shared_ptr<HandleBox> Environment::box(std::function<void(int)> callback) {
  auto box = std::make_shared<HandleBox>();
  box->callback = std::move(callback);
  box->environment = this;
  box->uv.any.data = box.get();
  boxes_[box.get()] = box;
  return box;
}

void Environment::closeBox(HandleBox* box) {
  box->closing = true;
  uv_close(&box->uv.any, [](uv_handle_t* handle) {
    auto* box = static_cast<HandleBox*>(handle->data);
    Environment* environment = box->environment;
    environment->boxes_.erase(box);
    if (environment->ended_ && environment->boxes_.empty()) {
      napi_remove_async_cleanup_hook(environment->cleanup_);
    }
  });
}

LoopHandle Environment::poll(int fd, std::function<void(int)> callback) {
  auto shared = box(std::move(callback));
  int error = uv_poll_init(loop_, &shared->uv.poll, fd);
  if (error < 0) {
    boxes_.erase(shared.get());
    fail(env_, -error, "epoll_ctl");
  }
  LoopHandle handle(shared);
  error = uv_poll_start(&shared->uv.poll, UV_READABLE | UV_DISCONNECT,
                        [](uv_poll_t* poll, int status, int) { fire(poll->data, status); });
  if (error < 0) fail(env_, -error, "epoll_ctl");
  return handle;
}

LoopHandle Environment::timer(uint64_t milliseconds, std::function<void(int)> callback) {
  LoopHandle handle(box(std::move(callback)));
  uv_timer_t* timer = &handle.get()->uv.timer;
  uv_timer_init(loop_, timer);
  // The loop's notion of now may be stale after a long callback.
  uv_update_time(loop_);
  uv_timer_start(timer, [](uv_timer_t* timer) { fire(timer->data, 0); }, milliseconds, 0);
  return handle;
}

LoopHandle Environment::idle(std::function<void(int)> callback) {
  LoopHandle handle(box(std::move(callback)));
  uv_idle_init(loop_, &handle.get()->uv.idle);
  return handle;
}

void Environment::startIdle(const LoopHandle& handle) {
  uv_idle_start(&handle.get()->uv.idle, [](uv_idle_t* idle) { fire(idle->data, 0); });
}

void Environment::fire(void* data, int status) {
  auto* box = static_cast<HandleBox*>(data);
  Environment* environment = box->environment;
  // The callback may close its handle, which must not be the end of the callback.
  auto keep = environment->boxes_.at(box);
  if (keep->closing) return;
  Napi::HandleScope scope(environment->env_);
  try {
    keep->callback(status);
  } catch (const Napi::Error& error) {
    napi_fatal_exception(environment->env_, error.Value());
  }
}

void Environment::enter(const std::function<void()>& task) {
  Napi::HandleScope scope(env_);
  Napi::CallbackScope callback(env_, *context_);
  try {
    task();
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env_, error.Value());
  }
}

void Environment::call(const Napi::FunctionReference& function, const std::vector<napi_value>& arguments) {
  napi_value global = env_.Global();
  // napi_make_callback runs nextTicks and microtasks when the function has returned.
  napi_status status = napi_make_callback(env_, *context_, global, function.Value(), arguments.size(),
                                          arguments.data(), nullptr);
  if (status != napi_pending_exception) return;
  napi_value exception;
  if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok) napi_fatal_exception(env_, exception);
}

Environment::Settle Environment::orReject(const char* call, std::function<Napi::Value(Napi::Env)> value) {
  return [call, value = std::move(value)](Napi::Env env, Napi::Promise::Deferred& deferred, int error) {
    if (error) deferred.Reject(systemError(env, error, call).Value());
    else deferred.Resolve(value ? value(env) : env.Undefined());
  };
}

uint64_t Environment::openPromise(Settle settle, Napi::Promise* promise) {
  uint64_t id = nextPromise_++;
  auto deferred = Napi::Promise::Deferred::New(env_);
  *promise = deferred.Promise();
  pending_.emplace(id, Pending{deferred, std::move(settle), LoopHandle()});
  letters_.ref();
  return id;
}

void Environment::settlePromise(uint64_t id, int error) {
  auto found = pending_.find(id);
  if (found == pending_.end()) return;  // timed out before
  Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending_.empty()) letters_.unref();
  enter([&] {
    pending.settle(env_, pending.deferred, error);
    pending.settle = nullptr;  // what it held is free before anybody who awaited this goes on
  });
}

Napi::Promise Environment::elsewhere(Crew& crew, int owner, int64_t timeoutMs, std::function<int()> work,
                                     Settle settle) {
  Napi::Promise promise;
  uint64_t id = openPromise(std::move(settle), &promise);
  auto finish = [this, id, mailbox = mailbox_](int error) {
    mailbox->post([this, id, error] { settlePromise(id, error); });
  };
  // Work whose time ran out before a thread was free must not be done any more: its ioctl has been answered.
  auto expired = std::make_shared<std::atomic<bool>>(false);
  crew.queue(owner, [finish, expired, work = std::move(work)]() mutable {
    int error = *expired ? ETIMEDOUT : work();
    work = nullptr;
    finish(error);
  });
  if (timeoutMs > 0) {
    auto expire = [this, id, expired](int) {
      *expired = true;
      settlePromise(id, ETIMEDOUT);
    };
    pending_.at(id).timeout = timer(static_cast<uint64_t>(timeoutMs), expire);
  }
  return promise;
}

void Environment::onLetters() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard<std::mutex> lock(mailbox_->mutex_);
    tasks.swap(mailbox_->tasks_);
  }
  for (auto& task : tasks) {
    if (!ended_) task();
  }
}

void Environment::onCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<Environment*>(data)->endNow(); }

void Environment::endNow() {
  ended_ = true;
  while (!endings_.empty()) {
    Ending* ending = *endings_.begin();
    endings_.erase(ending);
    ending->end();
  }
  {
    std::lock_guard<std::mutex> lock(mailbox_->mutex_);
    mailbox_->async_ = nullptr;
    mailbox_->tasks_.clear();
  }
  rundown_->end();
  pending_.clear();
  constructors_.clear();
  context_.reset();
  auto boxes = boxes_;
  for (auto& [box, keep] : boxes) {
    if (!box->closing) closeBox(box);
  }
}
