#include "mapping.h"

#include <cerrno>

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

  static std::vector<PropertyDescriptor> properties() { return {InstanceMethod("unmap", &MappedMemory::unmap)}; }

  std::shared_ptr<Mapping> mapping() const { return mapping_; }

 private:
  std::shared_ptr<Mapping> mapping_;
  std::shared_ptr<Mapping>* keep_ = nullptr;  // owned by the buffer, which can't be gone before it is detached
};

Napi::Value memfd(const Napi::CallbackInfo& info) {
  std::string name = stringArgument(info, 0, "name");
  int64_t size = integerArgument(info, 1, "size", 0, kMaxSafeInteger);
  int fd = checked(info.Env(), memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
  if (ftruncate(fd, size) < 0) {
    int error = errno;
    close(fd);
    fail(info.Env(), error, "ftruncate");
  }
  return Napi::Number::New(info.Env(), fd);
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
  exports.Set("map", Napi::Function::New(env, map, "map"));
  exports.Set("close", Napi::Function::New(env, closeFd, "close"));
  exports.Set("closeElsewhere", Napi::Function::New(env, closeElsewhere, "closeElsewhere"));
}
