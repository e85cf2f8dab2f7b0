#include "netlink.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "arguments.h"

namespace {
int option(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

Napi::Value isUeventSocket(const Napi::CallbackInfo& info) {
  int fd = fdArgument(info, 0);
  bool is = option(fd, SO_DOMAIN) == AF_NETLINK && option(fd, SO_PROTOCOL) == NETLINK_KOBJECT_UEVENT;
  return Napi::Boolean::New(info.Env(), is);
}

// To port 0, the kernel: uevent_net_rcv() broadcasts it as an event of its own. What is sent there is taken at once.
Napi::Value sendUevent(const Napi::CallbackInfo& info) {
  int fd = fdArgument(info, 0);
  Bytes text = bytesArgument(info, 1, "message");
  nlmsghdr head{};
  head.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + text.length);
  head.nlmsg_type = NLMSG_MIN_TYPE;
  head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  iovec parts[] = {{&head, sizeof head}, {text.data, text.length}};
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  int error = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
  struct {
    nlmsghdr head;
    nlmsgerr error;
  } answer;
  // It has answered before the call returned; who shares the socket may have taken the answer.
  ssize_t length = error ? -1 : recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
  if (length == sizeof answer && answer.head.nlmsg_type == NLMSG_ERROR) error = -answer.error.error;
  return Napi::Number::New(info.Env(), error);
}
}  // namespace

void exportNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("isUeventSocket", Napi::Function::New(env, isUeventSocket, "isUeventSocket"));
  exports.Set("sendUevent", Napi::Function::New(env, sendUevent, "sendUevent"));
}
