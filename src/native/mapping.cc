#include "mapping.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arguments.h"
#include "backing.h"
#include "crew.h"
#include "errors.h"
#include "wrap.h"

std::shared_ptr<Mapping> Mapping::create(int fd, uint64_t offset, size_t length, int protection) {
  void* data = mmap(nullptr, length, protection, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return nullptr;
  return std::shared_ptr<Mapping>(new Mapping(static_cast<uint8_t*>(data), length));
}

Mapping::~Mapping() { munmap(data, length); }

bool Mapping::remap(int fd, uint64_t offset, int protection) {
  return mmap(data, length, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, static_cast<off_t>(offset)) !=
         MAP_FAILED;
}

namespace {
class MappedMemory : public Wrap<MappedMemory> {
 public:
  static constexpr const char* kName = "MappedMemory";
  static constexpr napi_type_tag kTag = {0x76666966736d6170, 1};

  explicit MappedMemory(const Napi::CallbackInfo& info) : Wrap(info) {}

  void init(Napi::Env env, std::shared_ptr<Mapping> mapping) {
    mapping_ = mapping;
    auto* keep = new std::shared_ptr<Mapping>(mapping);
    auto buffer = Napi::Buffer<uint8_t>::New(env, mapping->data, mapping->length,
                                             [keep](Napi::Env, uint8_t*) { delete keep; });
    // A strong property: the pages stay while JavaScript holds the handle or the buffer.
    Value().DefineProperty(Napi::PropertyDescriptor::Value("buffer", buffer, napi_enumerable));
    keep_ = keep;
  }

  void unmap(const Napi::CallbackInfo& info) {
    if (!mapping_) return;
    // The pages go now (unless a watcher or a copy still holds them), not when the buffer is collected.
    keep_->reset();
    mapping_.reset();
    info.This().As<Napi::Object>().Get("buffer").As<Napi::Uint8Array>().ArrayBuffer().Detach();
  }

  void remap(const Napi::CallbackInfo& info) {
    int fd = fdArgument(info, 0);
    int64_t offset = integerArgument(info, 1, "offset", 0, kMaxSafeInteger);
    if (!mapping_) fail(info.Env(), EFAULT, "mmap");
    if (!mapping_->remap(fd, static_cast<uint64_t>(offset), PROT_READ | PROT_WRITE)) fail(info.Env(), errno, "mmap");
  }

  static std::vector<PropertyDescriptor> properties() {
    return {InstanceMethod("unmap", &MappedMemory::unmap), InstanceMethod("remap", &MappedMemory::remap)};
  }

  std::shared_ptr<Mapping> mapping() const { return mapping_; }

 private:
  std::shared_ptr<Mapping> mapping_;
  std::shared_ptr<Mapping>* keep_ = nullptr;  // owned by the buffer, which can't be gone before it is detached
};

Napi::Value memfd(const Napi::CallbackInfo& info) {
  std::string name = stringArgument(info, 0, "name");
  int64_t size = integerArgument(info, 1, "size", 0, kMaxSafeInteger);
  int fd = checked(info.Env(), memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
  // The descriptor of memfd_create() is not counted as a writer of its inode, which isUnshared() needs.
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  int error = errno;
  close(fd);
  if (file < 0) fail(info.Env(), error, "open");
  if (ftruncate(file, size) < 0) {
    error = errno;
    close(file);
    fail(info.Env(), error, "ftruncate");
  }
  return Napi::Number::New(info.Env(), file);
}

// A write lease is granted only while nobody else has the inode open; a mapping is an open file, too.
Napi::Value isUnshared(const Napi::CallbackInfo& info) {
  int fd = fdArgument(info, 0);
  if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
    if (errno == EAGAIN || errno == EBUSY) return Napi::Boolean::New(info.Env(), false);
    fail(info.Env(), errno, "F_SETLEASE");
  }
  checked(info.Env(), fcntl(fd, F_SETLEASE, F_UNLCK), "F_SETLEASE");
  return Napi::Boolean::New(info.Env(), true);
}

void punchHole(const Napi::CallbackInfo& info) {
  int fd = fdArgument(info, 0);
  int64_t offset = integerArgument(info, 1, "offset", 0, kMaxSafeInteger);
  int64_t length = integerArgument(info, 2, "length", 1, kMaxSafeInteger);
  checked(info.Env(), fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length), "fallocate");
}

// Copies what there is: holes of the source are skipped.
void copyData(const Napi::CallbackInfo& info) {
  int source = fdArgument(info, 0);
  int64_t from = integerArgument(info, 1, "sourceOffset", 0, kMaxSafeInteger);
  int target = fdArgument(info, 2);
  int64_t to = integerArgument(info, 3, "targetOffset", 0, kMaxSafeInteger);
  int64_t length = integerArgument(info, 4, "length", 1, kMaxSafeInteger);
  for (off_t at = from, end = from + length; at < end;) {
    off_t data = lseek(source, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;
    checked(info.Env(), data < 0 ? -1 : 0, "lseek");
    if (data >= end) return;
    off_t hole = std::min(lseek(source, data, SEEK_HOLE), end);
    checked(info.Env(), hole < 0 ? -1 : 0, "lseek");
    for (at = data; at < hole;) {
      off_t place = to + (at - from);
      ssize_t copied = copy_file_range(source, &at, target, &place, static_cast<size_t>(hole - at), 0);
      if (copied == 0) return;  // somebody made the source shorter
      checked(info.Env(), copied < 0 ? -1 : 0, "copy_file_range");
    }
  }
}

void truncateFile(const Napi::CallbackInfo& info) {
  int64_t size = integerArgument(info, 1, "size", 0, kMaxSafeInteger);
  checked(info.Env(), ftruncate(fdArgument(info, 0), size), "ftruncate");
}

Napi::Value map(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = fdArgument(info, 0);
  int64_t offset = integerArgument(info, 1, "offset", 0, kMaxSafeInteger);
  // The longest Buffer of Node 20 is 4 GiB.
  int64_t length = integerArgument(info, 2, "length", 0, int64_t{1} << 32);
  auto mapping = Mapping::create(fd, static_cast<uint64_t>(offset), static_cast<size_t>(length),
                                 PROT_READ | PROT_WRITE);
  if (!mapping) fail(env, errno, "mmap");
  return MappedMemory::create(env, mapping);
}

void closeFd(const Napi::CallbackInfo& info) {
  int fd = fdArgument(info, 0);
  forgetBackings(fd);
  checked(info.Env(), close(fd), "close");
}

void closeElsewhere(const Napi::CallbackInfo& info) {
  int fd = static_cast<int>(integerArgument(info, 0, "fd", 0, INT32_MAX));
  closeCrew().queue(0, [fd] { close(fd); });
}
}  // namespace

std::shared_ptr<Mapping> mappingOf(Napi::Value memory) {
  auto mapping = MappedMemory::from(memory, "memory")->mapping();
  if (!mapping) fail(memory.Env(), EFAULT, "mmap");
  return mapping;
}

void exportMapping(Napi::Env env, Napi::Object exports) {
  MappedMemory::define(env);
  exports.Set("memfd", Napi::Function::New(env, memfd, "memfd"));
  exports.Set("truncate", Napi::Function::New(env, truncateFile, "truncate"));
  exports.Set("isUnshared", Napi::Function::New(env, isUnshared, "isUnshared"));
  exports.Set("punchHole", Napi::Function::New(env, punchHole, "punchHole"));
  exports.Set("copyData", Napi::Function::New(env, copyData, "copyData"));
  exports.Set("map", Napi::Function::New(env, map, "map"));
  exports.Set("close", Napi::Function::New(env, closeFd, "close"));
  exports.Set("closeElsewhere", Napi::Function::New(env, closeElsewhere, "closeElsewhere"));
}
