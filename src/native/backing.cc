#include "backing.h"

#include <climits>
#include <map>
#include <mutex>
#include <set>

#include <sys/ioctl.h>

#include "arguments.h"
#include "errors.h"

namespace {
// From Linux 6.9's uapi/linux/fuse.h; the headers of older distributions lack them.
struct fuse_backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
constexpr unsigned long FUSE_DEV_IOC_BACKING_OPEN = _IOW(229, 1, fuse_backing_map);
constexpr unsigned long FUSE_DEV_IOC_BACKING_CLOSE = _IOW(229, 2, uint32_t);

std::mutex mutex;
std::map<int, std::set<int>> backings;  // by /dev/fuse descriptor

Napi::Value backingOpen(const Napi::CallbackInfo& info) {
  int fuseFd = fdArgument(info, 0);
  fuse_backing_map map{fdArgument(info, 1), 0, 0};
  int id = checked(info.Env(), ioctl(fuseFd, FUSE_DEV_IOC_BACKING_OPEN, &map), "FUSE_DEV_IOC_BACKING_OPEN");
  std::lock_guard<std::mutex> lock(mutex);
  backings[fuseFd].insert(id);
  return Napi::Number::New(info.Env(), id);
}

void backingClose(const Napi::CallbackInfo& info) {
  int fuseFd = fdArgument(info, 0);
  auto id = static_cast<uint32_t>(integerArgument(info, 1, "backingId", 0, INT_MAX));
  checked(info.Env(), ioctl(fuseFd, FUSE_DEV_IOC_BACKING_CLOSE, &id), "FUSE_DEV_IOC_BACKING_CLOSE");
  std::lock_guard<std::mutex> lock(mutex);
  backings[fuseFd].erase(static_cast<int>(id));
}
}  // namespace

void forgetBackings(int fuseFd) {
  std::lock_guard<std::mutex> lock(mutex);
  backings.erase(fuseFd);
}

int countBackings() {
  std::lock_guard<std::mutex> lock(mutex);
  size_t count = 0;
  for (auto& [fd, ids] : backings) count += ids.size();
  return static_cast<int>(count);
}

void exportBacking(Napi::Env env, Napi::Object exports) {
  exports.Set("backingOpen", Napi::Function::New(env, backingOpen, "backingOpen"));
  exports.Set("backingClose", Napi::Function::New(env, backingClose, "backingClose"));
}
