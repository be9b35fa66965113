#include "functions/instance.h"

#include "base/log.h"
#include "net/local_socket.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unistd.h>
#include <utility>

namespace iotcore::functions {
namespace {

// Connections of one process at once: clients use one, or one a request.
constexpr std::size_t kConnectionsMax = 64;

void warn_once(std::string_view missing) {
  static bool warned = false;  // by the thread of functions
  if (!std::exchange(warned, true)) {
    log(LogLevel::kWarn,
        "functions.not_isolated",
        {{"missing", missing},
         {"hint", "functions can reach the network and see what the server's user can see"}});
  }
}

}  // namespace

Watched::Watched(net::EventLoop& loop, int fd, Function<void()> ready)
    : loop_(loop), fd_(fd), ready_(std::move(ready)) {
  loop_.add_listener(fd_, *this);
}

Watched::~Watched() {
  stop();
}

void Watched::stop() {
  if (!std::exchange(is_stopped_, true)) {
    loop_.remove(fd_, *this);
  }
}

Instance::Instance(
    net::EventLoop& loop,
    Process process,
    std::optional<std::uint32_t> user,
    OutputLog& output,
    Owner& owner
)
    : loop_(loop), process_(std::move(process)), user_(user), output_(output), owner_(owner) {
  watched_channel_ = std::make_unique<Watched>(loop_, process_.channel(), [this] { on_channel(); });
  watched_output_ = std::make_unique<Watched>(loop_, process_.output(), [this] { on_output(); });
}

Instance::~Instance() = default;

void Instance::on_channel() {
  while (!is_gone_) {
    net::LocalMessage message = net::receive_local(process_.channel());
    if (message.status == net::LocalMessage::Status::kNothing) {
      return;
    }
    if (message.status == net::LocalMessage::Status::kEnd || message.text.empty()) {
      gone("its launcher has ended");
      return;
    }
    const std::string text = message.text.substr(1);
    switch (static_cast<LauncherWord>(message.text.front())) {
      case LauncherWord::kListener:
        if (!text.empty()) {
          warn_once(text);
        }
        listener_ = std::move(message.descriptor);
        watched_listener_ =
            std::make_unique<Watched>(loop_, listener_.get(), [this] { on_connection(); });
        break;
      case LauncherWord::kFailed:
        if (error_.empty()) {
          error_ = error_document("Runtime.InvalidEntrypoint", text);
        }
        break;
      case LauncherWord::kExited:
        gone(text);
        return;
    }
  }
}

void Instance::gone(const std::string& how) {
  is_gone_ = true;
  on_output();
  output_.end(unfinished_line_, request_id_, loop_.turn_time());
  watched_channel_->stop();
  watched_output_->stop();
  if (watched_listener_ != nullptr) {
    watched_listener_->stop();
  }
  connections_.clear();
  poll_ = nullptr;
  state_ = State::kEnding;
  if (error_.empty()) {
    const std::string text = how == "exit status 0" ? "Runtime exited without providing a reason"
                                                    : "Runtime exited with error: " + how;
    error_ = error_document(
        "Runtime.ExitError",
        request_id_.empty() ? "Error: " + text
                            : fmt::format("RequestId: {} Error: {}", request_id_, text)
    );
  }
  owner_.on_ended(*this, std::move(error_), had_started_);
}

void Instance::on_output() {
  std::array<char, 16'384> chunk;
  // One function that prints without end is not to keep the others waiting.
  for (int i = 0; i < 16; ++i) {
    const ssize_t bytes = ::read(process_.output(), chunk.data(), chunk.size());
    if (bytes > 0) {
      output_.put(
          unfinished_line_,
          {chunk.data(), static_cast<std::size_t>(bytes)},
          request_id_,
          loop_.turn_time()
      );
      continue;
    }
    if (bytes == 0) {
      watched_output_->stop();  // closed by the function; its end comes by the channel
    }
    return;
  }
}

void Instance::on_connection() {
  while (net::UniqueFd socket = net::accept_local(listener_.get())) {
    const std::optional<std::uint32_t> peer =
        user_ ? net::loopback_peer_user(socket.get()) : std::nullopt;
    if (user_ && peer && *peer != *user_) {
      log(LogLevel::kWarn, "functions.stranger", {{"user", *peer}});
      continue;
    }
    std::erase_if(connections_, [](const auto& each) { return each->is_closed(); });
    if (connections_.size() >= kConnectionsMax || state_ == State::kEnding) {
      continue;
    }
    connections_.push_back(std::make_unique<RuntimeConnection>(
        loop_,
        std::move(socket),
        RuntimeConnection::Events{
            [this](RuntimeConnection& connection, net::HttpRequest request) {
              on_request(connection, request);
            },
            [this](RuntimeConnection& connection) { on_closed(connection); }}
    ));
  }
}

void Instance::on_closed(RuntimeConnection& connection) {
  if (poll_ == &connection) {
    poll_ = nullptr;
    if (state_ == State::kIdle) {
      state_ = State::kStarting;  // until it asks again
    }
  }
}

void Instance::on_request(RuntimeConnection& connection, const net::HttpRequest& request) {
  const RuntimeRequest what = read_runtime_request(request);
  switch (what.call) {
    case RuntimeCall::kNext:
      on_next(connection);
      return;
    case RuntimeCall::kInitError:
      connection.reply(accepted_response());
      if (state_ == State::kStarting && !had_started_) {
        end(request.body);
      }
      return;
    case RuntimeCall::kResponse:
    case RuntimeCall::kError:
      on_result(connection, request, what);
      return;
    case RuntimeCall::kUnknown:
      connection.reply(not_found_response());
      return;
  }
}

void Instance::on_next(RuntimeConnection& connection) {
  if (state_ != State::kStarting && !(state_ == State::kIdle && poll_ == nullptr)) {
    connection.reply(bad_state_response("/invocation/next"));
    return;
  }
  poll_ = &connection;
  state_ = State::kIdle;
  had_started_ = true;
  idle_since_ = loop_.turn_time();
  owner_.on_idle(*this);
}

void Instance::give(Event event) {
  state_ = State::kBusy;
  request_id_ = event.request_id;
  std::exchange(poll_, nullptr)->reply(event_response(std::move(event)));
}

void Instance::on_result(
    RuntimeConnection& connection, const net::HttpRequest& request, const RuntimeRequest& what
) {
  if (state_ != State::kBusy || what.request_id != request_id_) {
    connection.reply(unknown_id_response());
    return;
  }
  const bool is_response = what.call == RuntimeCall::kResponse;
  if (is_response && request.body.size() > kPayloadBytesMax) {
    connection.reply(too_large_response(request.body.size()));
    return;
  }
  // A handler that fails while its answer is under way says so behind it.
  const std::string* late = request.headers.find("lambda-runtime-function-error-type");
  const bool is_error = !is_response || late != nullptr;
  std::string payload = request.body;
  if (!is_response && payload.size() > kPayloadBytesMax) {
    payload = error_document("Runtime.ErrorTooLarge", "The error is larger than 6 MiB");
  }
  on_output();  // what was printed belongs to this request
  request_id_.clear();
  state_ = State::kStarting;  // until it asks for more
  owner_.on_answer(*this, std::move(payload), is_error);
  connection.reply(accepted_response());
}

void Instance::end(std::string error) {
  if (state_ == State::kEnding) {
    return;
  }
  state_ = State::kEnding;
  error_ = std::move(error);
  process_.kill();
}

}  // namespace iotcore::functions
