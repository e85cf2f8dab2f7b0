#include "mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "arguments.h"
#include "descriptor-message.h"
#include "errors.h"
#include "host-filesystem.h"

namespace {
Napi::Value openFuse(const Napi::CallbackInfo& info) {
  int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return Napi::Number::New(info.Env(), checked(info.Env(), fd, "open"));
}

void mountFuse(const Napi::CallbackInfo& info) {
  std::string data = "fd=" + std::to_string(fdArgument(info, 0));
  std::string target = stringArgument(info, 1, "target");
  std::string source = stringArgument(info, 2, "source");
  std::string options = stringArgument(info, 3, "options");
  if (!options.empty()) data += "," + options;
  // As fusermount does: nothing in a pretend host is a program with privileges or a device node of the real
  // one.
  int result = mount(source.c_str(), target.c_str(), kHostFilesystem, MS_NOSUID | MS_NODEV, data.c_str());
  checked(info.Env(), result, "mount");
}

void bindMount(const Napi::CallbackInfo& info) {
  std::string source = stringArgument(info, 0, "source");
  std::string target = stringArgument(info, 1, "target");
  unsigned long flags = MS_BIND | (info[2].ToBoolean() ? MS_REC : 0);
  checked(info.Env(), mount(source.c_str(), target.c_str(), nullptr, flags, nullptr), "mount");
}

void unmount(const Napi::CallbackInfo& info) {
  std::string target = stringArgument(info, 0, "target");
  int flags = UMOUNT_NOFOLLOW | (info[1].ToBoolean() ? MNT_DETACH : 0);
  checked(info.Env(), umount2(target.c_str(), flags), "umount2");
}

Napi::Value socketPair(const Napi::CallbackInfo& info) {
  int ends[2];
  checked(info.Env(), socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  for (uint32_t i = 0; i < 2; i++) result[i] = Napi::Number::New(info.Env(), ends[i]);
  return result;
}

Napi::Value receiveFuse(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = receiveDescriptor(fdArgument(info, 0), MSG_DONTWAIT);
  checked(env, fd, "recvmsg");
  checked(env, fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
  return Napi::Number::New(env, fd);
}
}  // namespace

void exportMount(Napi::Env env, Napi::Object exports) {
  exports.Set("openFuse", Napi::Function::New(env, openFuse, "openFuse"));
  exports.Set("socketPair", Napi::Function::New(env, socketPair, "socketPair"));
  exports.Set("receiveFuse", Napi::Function::New(env, receiveFuse, "receiveFuse"));
  exports.Set("mountFuse", Napi::Function::New(env, mountFuse, "mountFuse"));
  exports.Set("bindMount", Napi::Function::New(env, bindMount, "bindMount"));
  exports.Set("unmount", Napi::Function::New(env, unmount, "unmount"));
}
