#include "rules/actions/redis_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <hiredis/hiredis.h>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {"redis", "rediss", 6379, 6379};

void append_command(std::string& out, const RedisCommand& command) {
  out += fmt::format("*{}\r\n", command.size());
  for (const std::string& word : command) {
    out += fmt::format("${}\r\n", word.size());
    out += word;
    out += "\r\n";
  }
}

RedisReply reply_of(const redisReply& from) {
  RedisReply reply;
  switch (from.type) {
    case REDIS_REPLY_INTEGER:
      reply.kind = RedisReply::Kind::kNumber;
      reply.number = from.integer;
      break;
    case REDIS_REPLY_NIL:
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = RedisReply::Kind::kList;
      for (std::size_t i = 0; i < from.elements; ++i) {
        reply.list.push_back(reply_of(*from.element[i]));
      }
      break;
    default:
      reply.kind =
          from.type == REDIS_REPLY_ERROR ? RedisReply::Kind::kError : RedisReply::Kind::kText;
      reply.text.assign(from.str, static_cast<std::size_t>(from.len));
  }
  return reply;
}

}  // namespace

RedisOptions read_redis(MemberReader& members) {
  RedisOptions options;
  options.server = read_server(members, kServerKind);
  std::string_view path = options.server.address.path;
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  if (!path.empty()) {
    members.fail_member("url", "has a path; the database is member db");
  }
  options.db = members.optional_integer("db", 0, 1'000'000).value_or(0);
  options.exactly_once = members.optional_boolean("exactlyOnce").value_or(true);
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(10));
  return options;
}

bool RedisReply::is_temporary() const {
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"LOADING",
       "BUSY",
       "TRYAGAIN",
       "CLUSTERDOWN",
       "MASTERDOWN",
       "READONLY",
       "OOM",
       "MISCONF",
       "NOREPLICAS",
       "NOAUTH",
       "EXECABORT",
       "UNKILLABLE"}
  );
  const std::string_view word = std::string_view(text).substr(0, text.find(' '));
  return is_error() && std::ranges::find(kWords, word) != kWords.end();
}

void RedisConnection::FreeReader::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

RedisConnection::RedisConnection(net::ClientChannel channel, std::chrono::milliseconds timeout)
    : channel_(std::move(channel)), timeout_(timeout), reader_(redisReaderCreate()) {}

RedisConnection::~RedisConnection() = default;

Result<std::unique_ptr<RedisConnection>> RedisConnection::open(const RedisOptions& options) {
  const Address& address = options.server.address;
  IOTCORE_ASSIGN(
      net::ClientChannel channel,
      net::ClientChannel::open(address.host, address.port, options.timeout)
  );
  if (options.server.tls.on) {
    IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options.server.tls));
    IOTCORE_TRY(channel.start_tls(tls));
  }
  std::unique_ptr<RedisConnection> connection(
      new RedisConnection(std::move(channel), options.timeout)
  );
  IOTCORE_TRY(connection->log_in(options));
  return connection;
}

Status RedisConnection::log_in(const RedisOptions& options) {
  const Address& address = options.server.address;
  std::vector<RedisCommand> commands;
  if (!address.password.empty()) {
    commands.push_back(
        address.user.empty() ? RedisCommand{"AUTH", address.password}
                             : RedisCommand{"AUTH", address.user, address.password}
    );
  }
  if (options.db != 0) {
    commands.push_back({"SELECT", std::to_string(options.db)});
  }
  commands.push_back({"PING"});
  IOTCORE_ASSIGN(const std::vector<RedisReply> replies, run(commands));
  for (const RedisReply& reply : replies) {
    if (reply.is_error()) {
      return fail(Errc::kUnavailable, "Redis: " + reply.text);
    }
  }
  IOTCORE_ASSIGN(const RedisReply id, run(RedisCommand{"CLIENT", "ID"}));
  id_ = id.number;
  return {};
}

Result<RedisReply> RedisConnection::read_reply() {
  std::array<char, 16'384> chunk;
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      return fail(Errc::kUnavailable, fmt::format("Redis answers nonsense: {}", reader_->errstr));
    }
    if (raw != nullptr) {
      RedisReply reply = reply_of(*static_cast<redisReply*>(raw));
      freeReplyObject(raw);
      return reply;
    }
    IOTCORE_ASSIGN(const std::size_t n, channel_.read(chunk.data(), chunk.size()));
    if (n == 0) {
      return fail(Errc::kUnavailable, "Redis has closed the connection");
    }
    redisReaderFeed(reader_.get(), chunk.data(), n);
  }
}

Result<std::vector<RedisReply>> RedisConnection::run(const std::vector<RedisCommand>& commands) {
  std::string out;
  for (const RedisCommand& command : commands) {
    append_command(out, command);
  }
  channel_.set_deadline(timeout_);
  IOTCORE_TRY(channel_.write(out));
  std::vector<RedisReply> replies;
  replies.reserve(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    IOTCORE_ASSIGN(RedisReply reply, read_reply());
    replies.push_back(std::move(reply));
  }
  return replies;
}

Result<RedisReply> RedisConnection::run(RedisCommand command) {
  std::vector<RedisCommand> commands;
  commands.push_back(std::move(command));
  IOTCORE_ASSIGN(std::vector<RedisReply> replies, run(commands));
  return std::move(replies.front());
}

}  // namespace iotcore::rules::actions
