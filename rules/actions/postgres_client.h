#pragma once

#include "base/clock.h"
#include "rules/actions/postgres_table.h"
#include "rules/actions/target_options.h"

#include <chrono>
#include <cstddef>
#include <libpq-fe.h>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// A target of kind `postgres`.
struct PostgresOptions {
  ServerOptions server;
  std::string dbname;
  std::string schema;  // empty: the role's search path
  bool exactly_once = true;
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds timeout{0};  // of one batch
};

PostgresOptions read_postgres(MemberReader& members);

// What PostgreSQL answered, and whether it is worth another try.
struct PostgresError {
  std::string sqlstate;  // empty: the connection's fault
  std::string message;
  std::size_t at = 0;  // which of the queued statements

  // The server's fault or state, and not the row's.
  bool is_temporary() const;
};

template <typename T>
using PostgresResult = tl::expected<T, PostgresError>;

using PostgresRows = std::vector<std::vector<PostgresValue>>;

// One connection. Blocks, no call for longer than its time-out; of no use after an error of the connection. One thread at a time.
class PostgresConnection {
 public:
  static PostgresResult<std::unique_ptr<PostgresConnection>> open(const PostgresOptions& options);

  // One or more statements without parameters; the rows of the last one that gives any.
  PostgresResult<PostgresRows> run(const std::string& sql);
  // `sql` has as many COPY … FROM STDIN among its statements as there are `data`, each in the text format. One round trip, and one for each COPY.
  PostgresResult<void> copy(const std::string& sql, std::span<const std::string_view> data);

  // Statements that are sent together and answered together. Prepared when first used.
  void queue(const std::string& sql, std::vector<PostgresValue> parameters);
  // All of them, or up to the first that fails; the queue is empty then.
  PostgresResult<void> run_queue();
  PostgresResult<PostgresRows> query(const std::string& sql, std::vector<PostgresValue> parameters);

  bool is_usable() const { return PQstatus(connection_.get()) == CONNECTION_OK; }

  bool in_transaction() const { return PQtransactionStatus(connection_.get()) != PQTRANS_IDLE; }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  struct Queued {
    std::string sql;
    std::vector<PostgresValue> parameters;
  };

  using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

  static constexpr std::size_t kPreparedMax = 256;

  explicit PostgresConnection(std::chrono::milliseconds timeout) : timeout_(timeout) {}

  PostgresResult<void> connect(const PostgresOptions& options);
  PostgresResult<void> wait(short events);
  PostgresResult<void> flush();
  // Nullptr: there are no more of this command.
  PostgresResult<Answer> next_answer();
  // Answers up to the end of a simple query.
  PostgresResult<PostgresRows> finish_query();
  PostgresResult<void> send_copy(std::string_view data);
  bool send(const Queued& statement);
  PostgresResult<void> read_pipeline(std::vector<std::size_t> statement_of);
  PostgresError connection_error() const;

  const std::chrono::milliseconds timeout_;
  MonotonicTime deadline_ = MonotonicTime::max();
  // What libpq reads while connecting.
  MemoryFile ca_;
  MemoryFile cert_;
  MemoryFile key_;
  std::unique_ptr<PGconn, Finish> connection_;
  bool copying_ = false;  // the server waits for COPY's data
  std::vector<Queued> queued_;
  std::map<std::string, std::string, std::less<>> prepared_;  // names by text
};

// "name", with its quotes doubled. A name with a dot in it: "schema"."name".
std::string postgres_quoted(std::string_view name);
std::string postgres_quoted_table(std::string_view name);
// 'text', for statements that take no parameters.
std::string postgres_literal(std::string_view text);

}  // namespace iotcore::rules::actions
