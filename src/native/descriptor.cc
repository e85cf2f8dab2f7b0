#include "descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "crew.h"
#include "errors.h"

std::shared_ptr<int> ownedCopy(Napi::Env env, int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) fail(env, errno, "fcntl");
  return {new int(copy), [](int* fd) {
            closeCrew().queue(0, [fd = *fd] { ::close(fd); });
            delete fd;
          }};
}
