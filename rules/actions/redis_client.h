#pragma once

#include "net/client_channel.h"
#include "rules/actions/target_options.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace iotcore::rules::actions {

// A target of kind `redis`.
struct RedisOptions {
  ServerOptions server;
  std::int64_t db = 0;
  bool exactly_once = true;
  std::chrono::milliseconds timeout{0};
};

RedisOptions read_redis(MemberReader& members);

using RedisCommand = std::vector<std::string>;

struct RedisReply {
  enum class Kind : std::uint8_t { kText, kNumber, kNull, kList, kError };

  Kind kind = Kind::kNull;
  std::string text;  // also of an error
  std::int64_t number = 0;
  std::vector<RedisReply> list;

  bool is_error() const { return kind == Kind::kError; }

  // An error of the server's state, and not of the command.
  bool is_temporary() const;
};

// One connection. Blocks, no call for longer than its time-out; of no use after an error. One thread at a time. The protocol is hiredis's, the socket and
// its TLS are ours: Debian's hiredis has none.
class RedisConnection {
 public:
  static Result<std::unique_ptr<RedisConnection>> open(const RedisOptions& options);
  ~RedisConnection();

  // Sent together; a reply to each.
  Result<std::vector<RedisReply>> run(const std::vector<RedisCommand>& commands);
  Result<RedisReply> run(RedisCommand command);

  // The server's number for this connection; 0: it does not tell.
  std::int64_t id() const { return id_; }

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const;
  };

  RedisConnection(net::ClientChannel channel, std::chrono::milliseconds timeout);

  Status log_in(const RedisOptions& options);
  Result<RedisReply> read_reply();

  net::ClientChannel channel_;
  const std::chrono::milliseconds timeout_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  std::int64_t id_ = 0;
};

}  // namespace iotcore::rules::actions
