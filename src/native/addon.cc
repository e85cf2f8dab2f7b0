// The addon's exports: see index.ts for what each does.
#include <napi.h>

#include "backing.h"
#include "channel.h"
#include "child.h"
#include "counts.h"
#include "environment.h"
#include "eventfd.h"
#include "graft.h"
#include "guard.h"
#include "mapping.h"
#include "mount.h"
#include "netlink.h"
#include "pin-handle.h"
#include "process-handle.h"
#include "signals.h"
#include "transfer.h"
#include "watcher.h"

Counts counts;

namespace {
Napi::Value readCounts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("mappings", Napi::Number::New(env, counts.mappings));
  result.Set("pins", Napi::Number::New(env, counts.pins));
  result.Set("processes", Napi::Number::New(env, counts.processes));
  result.Set("grafts", Napi::Number::New(env, counts.grafts));
  result.Set("watchers", Napi::Number::New(env, counts.watchers));
  result.Set("backings", Napi::Number::New(env, countBackings()));
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  installGuard();
  Environment::install(env);
  exportMount(env, exports);
  exportNetlink(env, exports);
  exportChannel(env, exports);
  exportBacking(env, exports);
  exportMapping(env, exports);
  exportProcess(env, exports);
  exportPin(env, exports);
  exportTransfer(env, exports);
  exportEventfd(env, exports);
  exportGraft(env, exports);
  exportWatcher(env, exports);
  exportChild(env, exports);
  exportSignals(env, exports);
  exports.Set("interface", Napi::Number::New(env, VFIOFS_INTERFACE));
  exports.Set("counts", Napi::Function::New(env, readCounts, "counts"));
  return exports;
}
}  // namespace

NODE_API_MODULE(vfiofs, initialize)
