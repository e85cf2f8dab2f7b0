// Descriptors that come down a socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

// The descriptor of the next message, close-on-exec. -1 and errno: ENOMSG when there is none in it, or no more messages come.
inline int receiveDescriptor(int socket, int flags) {
  char byte;
  iovec data{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  if (length < 0) return -1;
  cmsghdr* head = length > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (!head || head->cmsg_type != SCM_RIGHTS) {
    errno = ENOMSG;
    return -1;
  }
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return fd;
}
