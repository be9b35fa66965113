#include "rules/actions/postgres_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {"postgresql", "postgresqls", 5432, 5432};
constexpr const char* kSystemCas = "/etc/ssl/certs/ca-certificates.crt";

PostgresError error_of(const PGresult* answer) {
  const char* state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(answer, PG_DIAG_MESSAGE_PRIMARY);
  const char* detail = PQresultErrorField(answer, PG_DIAG_MESSAGE_DETAIL);
  PostgresError error;
  error.sqlstate = state == nullptr ? "" : state;
  error.message = message == nullptr ? PQresultErrorMessage(answer) : message;
  if (detail != nullptr) {
    error.message += fmt::format(" ({})", detail);
  }
  if (!error.sqlstate.empty()) {
    error.message += fmt::format(" [{}]", error.sqlstate);
  }
  return error;
}

std::string trimmed_text(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) {
    out.pop_back();
  }
  return out;
}

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    out += c;
    if (c == quote) {
      out += c;
    }
  }
  return out + quote;
}

PostgresRows rows_of(const PGresult* answer) {
  PostgresRows rows(static_cast<std::size_t>(PQntuples(answer)));
  for (int row = 0; row < PQntuples(answer); ++row) {
    for (int column = 0; column < PQnfields(answer); ++column) {
      PostgresValue value;
      if (PQgetisnull(answer, row, column) == 0) {
        value.emplace(
            PQgetvalue(answer, row, column),
            static_cast<std::size_t>(PQgetlength(answer, row, column))
        );
      }
      rows[static_cast<std::size_t>(row)].push_back(std::move(value));
    }
  }
  return rows;
}

}  // namespace

std::string postgres_quoted(std::string_view name) {
  return quoted(name, '"');
}

std::string postgres_quoted_table(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos
             ? postgres_quoted(name)
             : postgres_quoted(name.substr(0, dot)) + "." + postgres_quoted(name.substr(dot + 1));
}

std::string postgres_literal(std::string_view text) {
  return quoted(text, '\'');
}

bool PostgresError::is_temporary() const {
  // Classes of SQLSTATE: connection, rollback (serialization, deadlock), resources, state, operator, system, and what the server can't say.
  static constexpr auto kClasses =
      std::to_array<std::string_view>({"08", "40", "53", "55", "57", "58", "F0", "XX"});
  // Standby, prepared statements that somebody has dropped or whose tables have changed, a batch of an earlier connection.
  static constexpr auto kStates =
      std::to_array<std::string_view>({"25006", "26000", "0A000", "25P02", "25P03"});
  return sqlstate.empty() ||
         std::ranges::find(kClasses, std::string_view(sqlstate).substr(0, 2)) != kClasses.end() ||
         std::ranges::find(kStates, sqlstate) != kStates.end();
}

PostgresOptions read_postgres(MemberReader& members) {
  PostgresOptions options;
  options.server = read_server(members, kServerKind);
  std::string_view path = options.server.address.path;
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  options.dbname = members.optional_text("dbname").value_or(std::string(path));
  options.schema = members.optional_text("schema").value_or(std::string());
  options.exactly_once = members.optional_boolean("exactlyOnce").value_or(true);
  options.connect_timeout = read_timeout(members, "connectTimeout", std::chrono::seconds(10));
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(30));
  return options;
}

PostgresError PostgresConnection::connection_error() const {
  return {"", trimmed_text(PQerrorMessage(connection_.get())), 0};
}

PostgresResult<std::unique_ptr<PostgresConnection>> PostgresConnection::open(
    const PostgresOptions& options
) {
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(options.timeout));
  if (auto connected = connection->connect(options); !connected) {
    return tl::unexpected(std::move(connected).error());
  }
  if (!options.schema.empty()) {
    if (auto set = connection->run("SET search_path TO " + postgres_quoted(options.schema)); !set) {
      return tl::unexpected(std::move(set).error());
    }
  }
  return connection;
}

PostgresResult<void> PostgresConnection::connect(const PostgresOptions& options) {
  const Address& address = options.server.address;
  std::map<const char*, std::string> parameters = {
      {"host", address.host},
      {"port", std::to_string(address.port)},
      {"dbname", options.dbname},
      {"user", address.user},
      {"password", address.password},
      {"application_name", "iotcore"},
      {"client_encoding", "UTF8"},
      // Of several hosts the one that takes writes, also after a failover.
      {"target_session_attrs", "read-write"},
      {"tcp_user_timeout", std::to_string(options.timeout.count())}};
  if (options.server.tls.on) {
    const Result<net::ClientTls> tls = load_tls(options.server.tls);
    if (!tls) {
      return tl::unexpected(PostgresError{"", tls.error().message(), 0});
    }
    auto ca = MemoryFile::make(tls->ca_pem);
    auto cert = MemoryFile::make(tls->certificate_pem);
    auto key = MemoryFile::make(tls->private_key_pem);
    if (!ca || !cert || !key) {
      return tl::unexpected(PostgresError{"", "no memory for TLS", 0});
    }
    ca_ = *std::move(ca);
    cert_ = *std::move(cert);
    key_ = *std::move(key);
    parameters["sslmode"] = tls->verify ? "verify-full" : "require";
    parameters["sslrootcert"] = tls->verify && ca_.path().empty() ? kSystemCas : ca_.path();
    parameters["sslcert"] = cert_.path();
    parameters["sslkey"] = key_.path();
  }
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    if (!value.empty()) {
      names.push_back(name);
      values.push_back(value.c_str());
    }
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  deadline_ = SystemClock().now() + options.connect_timeout;
  connection_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
    if (connection_ == nullptr || !connection_ || PQstatus(connection_.get()) == CONNECTION_BAD ||
        next == PGRES_POLLING_FAILED) {
      return tl::unexpected(connection_error());
    }
    if (auto ready = wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT); !ready) {
      return ready;
    }
    next = PQconnectPoll(connection_.get());
  }
  PQsetnonblocking(connection_.get(), 1);
  PQsetNoticeReceiver(
      connection_.get(), [](void*, const PGresult*) {}, nullptr
  );
  return {};
}

PostgresResult<void> PostgresConnection::wait(short events) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline_ - SystemClock().now() + std::chrono::microseconds(999)
    );
    pollfd descriptor = {PQsocket(connection_.get()), events, 0};
    const int ready =
        left.count() <= 0 ? 0 : ::poll(&descriptor, 1, static_cast<int>(left.count()));
    if (ready > 0) {
      return {};
    }
    if (ready == 0) {
      return tl::unexpected(PostgresError{"", "PostgreSQL did not answer in time", 0});
    }
    if (errno != EINTR) {
      return tl::unexpected(PostgresError{"", "the connection can't be waited for", 0});
    }
  }
}

PostgresResult<void> PostgresConnection::flush() {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left == 0) {
      return {};
    }
    if (left < 0) {
      return tl::unexpected(connection_error());
    }
    // What comes in meanwhile has to be taken, or both sides wait for each other.
    if (auto ready = wait(POLLIN | POLLOUT); !ready) {
      return ready;
    }
    if (PQconsumeInput(connection_.get()) == 0) {
      return tl::unexpected(connection_error());
    }
  }
}

PostgresResult<PostgresConnection::Answer> PostgresConnection::next_answer() {
  while (PQisBusy(connection_.get()) != 0) {
    if (auto ready = wait(POLLIN); !ready) {
      return tl::unexpected(std::move(ready).error());
    }
    if (PQconsumeInput(connection_.get()) == 0) {
      return tl::unexpected(connection_error());
    }
  }
  return Answer(PQgetResult(connection_.get()), &PQclear);
}

PostgresResult<PostgresRows> PostgresConnection::finish_query() {
  PostgresRows rows;
  std::optional<PostgresError> error;
  for (;;) {
    auto answer = next_answer();
    if (!answer) {
      return tl::unexpected(std::move(answer).error());
    }
    if (*answer == nullptr) {
      break;
    }
    switch (PQresultStatus(answer->get())) {
      case PGRES_TUPLES_OK:
        rows = rows_of(answer->get());
        break;
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        break;
      case PGRES_COPY_IN:
        copying_ = true;
        return rows;  // the caller goes on
      default:
        error = error ? error : error_of(answer->get());
    }
    if (!is_usable()) {
      return tl::unexpected(connection_error());
    }
  }
  if (error) {
    return tl::unexpected(*std::move(error));
  }
  return rows;
}

PostgresResult<PostgresRows> PostgresConnection::run(const std::string& sql) {
  deadline_ = SystemClock().now() + timeout_;
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) {
    return tl::unexpected(connection_error());
  }
  if (auto sent = flush(); !sent) {
    return tl::unexpected(std::move(sent).error());
  }
  return finish_query();
}

PostgresResult<void> PostgresConnection::copy(
    const std::string& sql, std::span<const std::string_view> data
) {
  copying_ = false;
  auto answered = run(sql);
  for (const std::string_view each : data) {
    if (answered && !copying_) {
      return tl::unexpected(PostgresError{"", "PostgreSQL did not ask for the data", 0});
    }
    if (!answered) {
      break;
    }
    if (auto sent = send_copy(each); !sent) {
      return sent;
    }
    copying_ = false;
    answered = finish_query();
  }
  if (!answered) {
    return tl::unexpected(std::move(answered).error());
  }
  return {};
}

PostgresResult<void> PostgresConnection::send_copy(std::string_view data) {
  constexpr std::size_t kPieceBytes = 64U << 10;
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, kPieceBytes);
    const int put = PQputCopyData(connection_.get(), piece.data(), static_cast<int>(piece.size()));
    if (put < 0) {
      return tl::unexpected(connection_error());
    }
    if (auto sent = flush(); !sent) {
      return sent;
    }
    data.remove_prefix(put == 0 ? 0 : piece.size());
  }
  if (PQputCopyEnd(connection_.get(), nullptr) < 0) {
    return tl::unexpected(connection_error());
  }
  return flush();
}

void PostgresConnection::queue(const std::string& sql, std::vector<PostgresValue> parameters) {
  queued_.push_back({sql, std::move(parameters)});
}

bool PostgresConnection::send(const Queued& statement) {
  auto prepared = prepared_.find(statement.sql);
  if (prepared == prepared_.end()) {
    const std::string name = fmt::format("s{}", prepared_.size());
    if (PQsendPrepare(connection_.get(), name.c_str(), statement.sql.c_str(), 0, nullptr) == 0) {
      return false;
    }
    prepared = prepared_.emplace(statement.sql, name).first;
  }
  std::vector<const char*> values;
  values.reserve(statement.parameters.size());
  for (const PostgresValue& value : statement.parameters) {
    values.push_back(value ? value->c_str() : nullptr);
  }
  return PQsendQueryPrepared(
             connection_.get(),
             prepared->second.c_str(),
             static_cast<int>(values.size()),
             values.data(),
             nullptr,
             nullptr,
             0
         ) == 1;
}

PostgresResult<void> PostgresConnection::run_queue() {
  const std::vector<Queued> queued = std::exchange(queued_, {});
  deadline_ = SystemClock().now() + timeout_;
  if (prepared_.size() + queued.size() > kPreparedMax) {
    prepared_.clear();
    if (auto dropped = run("DEALLOCATE ALL"); !dropped) {
      return tl::unexpected(std::move(dropped).error());
    }
  }
  if (PQenterPipelineMode(connection_.get()) == 0) {
    return tl::unexpected(connection_error());
  }
  std::vector<std::size_t> statement_of;  // each answer's
  bool sent = true;
  for (std::size_t i = 0; i < queued.size() && sent; ++i) {
    const std::size_t before = prepared_.size();
    sent = send(queued[i]);
    statement_of.insert(statement_of.end(), prepared_.size() - before + 1, i);
  }
  if (!sent || PQpipelineSync(connection_.get()) == 0) {
    return tl::unexpected(connection_error());
  }
  if (auto flushed = flush(); !flushed) {
    return flushed;
  }
  auto done = read_pipeline(std::move(statement_of));
  if (!done) {
    prepared_.clear();  // which of them were prepared is not known
    if (is_usable() && !done.error().sqlstate.empty()) {
      PQexitPipelineMode(connection_.get());
      PostgresError error = std::move(done).error();
      // In a failed transaction too: names are dropped at once with a rollback.
      if (auto cleared = run("ROLLBACK; DEALLOCATE ALL"); !cleared) {
        return tl::unexpected(std::move(cleared).error());
      }
      return tl::unexpected(std::move(error));
    }
    return done;
  }
  if (PQexitPipelineMode(connection_.get()) == 0) {
    return tl::unexpected(connection_error());
  }
  return {};
}

PostgresResult<void> PostgresConnection::read_pipeline(std::vector<std::size_t> statement_of) {
  std::optional<PostgresError> error;
  for (std::size_t answers = 0;;) {
    auto answer = next_answer();
    if (!answer) {
      return tl::unexpected(std::move(answer).error());
    }
    if (*answer == nullptr) {
      ++answers;  // between two commands
      continue;
    }
    const ExecStatusType status = PQresultStatus(answer->get());
    if (status == PGRES_PIPELINE_SYNC) {
      break;
    }
    if (status == PGRES_FATAL_ERROR && !error) {
      error = error_of(answer->get());
      error->at = answers < statement_of.size() ? statement_of[answers] : 0;
    } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_ABORTED && !error) {
      error = PostgresError{"0A001", "the statement can't be used here", 0};
      error->at = answers < statement_of.size() ? statement_of[answers] : 0;
    }
    if (!is_usable()) {
      return tl::unexpected(connection_error());
    }
  }
  if (error) {
    return tl::unexpected(*std::move(error));
  }
  return {};
}

PostgresResult<PostgresRows> PostgresConnection::query(
    const std::string& sql, std::vector<PostgresValue> parameters
) {
  deadline_ = SystemClock().now() + timeout_;
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const PostgresValue& value : parameters) {
    values.push_back(value ? value->c_str() : nullptr);
  }
  if (PQsendQueryParams(
          connection_.get(),
          sql.c_str(),
          static_cast<int>(values.size()),
          nullptr,
          values.data(),
          nullptr,
          nullptr,
          0
      ) == 0) {
    return tl::unexpected(connection_error());
  }
  if (auto sent = flush(); !sent) {
    return tl::unexpected(std::move(sent).error());
  }
  return finish_query();
}

}  // namespace iotcore::rules::actions
