#include "gateway/listener.h"

#include "base/log.h"
#include "gateway/worker_gateway.h"

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace iotcore::gateway {
namespace {

net::UniqueFd open_spare() {
  return net::UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Listener::Listener(WorkerGateway& gateway, const Face& face, net::UniqueFd socket)
    : gateway_(gateway), face_(face), socket_(std::move(socket)), spare_(open_spare()) {
  gateway_.loop().add_listener(socket_.get(), *this);
}

Listener::~Listener() {
  gateway_.loop().timers().cancel(resume_);
  gateway_.loop().forget(*this);
}

void Listener::on_io(std::uint32_t /*events*/) {
  const std::uint32_t per_s_max = face_.config.limits.accepts_per_s_max;
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (per_s_max != 0) {
      const Duration wait = face_.accept_rate.wait(gateway_.loop().turn_time());
      if (wait > Duration::zero()) {
        pause(wait);
        return;
      }
    }
    if (!accept_one()) {
      return;
    }
    if (per_s_max != 0) {
      face_.accept_rate.take(gateway_.loop().turn_time(), per_s_max);
    }
  }
}

void Listener::pause(Duration duration) {
  net::EventLoop& loop = gateway_.loop();
  loop.remove(socket_.get(), *this);
  resume_ = loop.timers().schedule(loop.turn_time() + duration, [this] {
    gateway_.loop().add_listener(socket_.get(), *this);
  });
}

bool Listener::accept_one() {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  net::UniqueFd fd(accept4(
      socket_.get(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC
  ));
  if (fd) {
    gateway_.accept(face_, std::move(fd), net::peer_address(address));
    return true;
  }
  if (errno == EMFILE || errno == ENFILE) {
    on_out_of_descriptors();
    return true;
  }
  return errno == ECONNABORTED || errno == EINTR;
}

void Listener::on_out_of_descriptors() {
  spare_.reset();
  { const net::UniqueFd turned_away(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  spare_ = open_spare();
  gateway_.on_out_of_descriptors();
}

}  // namespace iotcore::gateway
