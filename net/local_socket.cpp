#include "net/local_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace iotcore::net {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;

std::optional<sockaddr_in> address_of(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  if (ask(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0 || storage.ss_family != AF_INET) {
    return std::nullopt;
  }
  sockaddr_in address = {};
  std::memcpy(&address, &storage, sizeof address);
  return address;
}

struct DiagnosisRequest {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

// The one socket that has these two ends, as the kernel tells it.
std::optional<inet_diag_msg> diagnose(const sockaddr_in& source, const sockaddr_in& destination) {
  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) {
    return std::nullopt;
  }
  DiagnosisRequest request = {};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = AF_INET;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = 0xFFFFFFFF;
  request.body.id.idiag_sport = source.sin_port;
  request.body.id.idiag_dport = destination.sin_port;
  request.body.id.idiag_src[0] = source.sin_addr.s_addr;
  request.body.id.idiag_dst[0] = destination.sin_addr.s_addr;
  request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
  request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  std::array<char, 4096> answer = {};
  if (::send(netlink.get(), &request, sizeof request, 0) != sizeof request) {
    return std::nullopt;
  }
  const ssize_t bytes = ::recv(netlink.get(), answer.data(), answer.size(), 0);
  nlmsghdr header = {};
  inet_diag_msg found = {};
  if (bytes < static_cast<ssize_t>(NLMSG_LENGTH(sizeof found))) {
    return std::nullopt;
  }
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) {
    return std::nullopt;
  }
  std::memcpy(&found, answer.data() + NLMSG_HDRLEN, sizeof found);
  return found;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> make_local_channel() {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return fail(Errc::kUnavailable, std::string("no local socket: ") + std::strerror(errno));
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

bool send_local(int channel, std::string_view text, int descriptor) {
  iovec part = {const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  return ::sendmsg(channel, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

LocalMessage receive_local(int channel) {
  LocalMessage received;
  std::array<char, kMessageBytesMax> text;
  iovec part = {text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (bytes <= 0) {
    const bool later = bytes < 0 && (errno == EAGAIN || errno == EINTR);
    received.status = later ? LocalMessage::Status::kNothing : LocalMessage::Status::kEnd;
    return received;
  }
  received.status = LocalMessage::Status::kMessage;
  received.text.assign(text.data(), static_cast<std::size_t>(bytes));
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    received.descriptor.reset(descriptor);
  }
  return received;
}

UniqueFd accept_local(int listener) {
  return UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

std::optional<std::uint32_t> loopback_peer_user(int connection) {
  const std::optional<sockaddr_in> ours = address_of(connection, &::getsockname);
  const std::optional<sockaddr_in> theirs = address_of(connection, &::getpeername);
  if (!ours || !theirs) {
    return std::nullopt;
  }
  const std::optional<inet_diag_msg> socket = diagnose(*theirs, *ours);
  return socket ? std::optional<std::uint32_t>(socket->idiag_uid) : std::nullopt;
}

bool bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq interface = {};
  std::memcpy(interface.ifr_name, "lo", sizeof "lo");
  interface.ifr_flags = IFF_UP;
  return socket && ::ioctl(socket.get(), SIOCSIFFLAGS, &interface) == 0;
}

}  // namespace iotcore::net
