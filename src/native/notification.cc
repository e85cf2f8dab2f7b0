#include "notification.h"

#include <sys/ioctl.h>

namespace {
// ENOENT: the thread has been killed meanwhile. There is nobody else who could fail to hear.
void send(int listener, seccomp_notif_resp response) { ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response); }
}  // namespace

void Notification::goOn() const { send(listener_, {id_, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE}); }
void Notification::succeed(int64_t result) const { send(listener_, {id_, result, 0, 0}); }
void Notification::fail(int error) const { send(listener_, {id_, 0, -error, 0}); }

bool Notification::isWaiting() const { return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id_) == 0; }

long Notification::give(int fd, bool result, int flags) const {
  seccomp_notif_addfd gift{};
  gift.id = id_;
  gift.flags = result ? SECCOMP_ADDFD_FLAG_SEND : 0;
  gift.srcfd = static_cast<uint32_t>(fd);
  gift.newfd_flags = static_cast<uint32_t>(flags);
  return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &gift);
}
