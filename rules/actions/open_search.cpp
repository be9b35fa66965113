#include "rules/actions/open_search.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "net/http_caller.h"
#include "net/http_client.h"
#include "net/sigv4.h"
#include "rules/actions/signing_options.h"
#include "rules/actions/target_options.h"
#include "rules/bindings.h"
#include "rules/built_ins.h"
#include "rules/http_outcome.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kWho = "OpenSearch";
constexpr std::string_view kBindingKind = "opensearch";
constexpr std::size_t kIdBytesMax = 512;

// The fields of a record.
enum Field : std::size_t { kIndex, kId, kFieldCount };

struct Options {
  HttpOptions http;
  SigningOptions signing;
  std::string user;
  std::string password;
};

Options read_options(MemberReader& members) {
  Options options;
  options.http = read_http(members);
  options.signing = read_signing(members);
  options.user = members.optional_text_or_secret("user");
  options.password = members.optional_text_or_secret("password");
  if (members.has("user") && members.has("accessKey")) {
    members.fail_member("user", "signs in one way, accessKey another; give one of them");
  }
  return options;
}

// For an endpoint that no target is for.
Result<Options> options_of_endpoint(std::string_view endpoint) {
  const json::object members = {{"endpoint", json::string(endpoint)}};
  MemberReader reader(members, "", nullptr);
  Options options = read_options(reader);
  if (const std::optional<DefinitionError> error = reader.finish()) {
    return fail(to_error(*error));
  }
  return options;
}

Status check_index(std::string_view index) {
  const bool bad_start = index.empty() || index.starts_with('_') || index.starts_with('-') ||
                         index.starts_with('+') || index == "." || index == "..";
  if (bad_start || index.size() > 255 ||
      index.find_first_of("\\/*?\"<>| ,#:") != std::string_view::npos ||
      std::ranges::any_of(index, [](char c) { return c >= 'A' && c <= 'Z'; })) {
    return fail(Errc::kInvalidRequest, fmt::format("'{}' is no name of an index", index));
  }
  return {};
}

Status check_id(std::string_view id) {
  return id.empty() || id.size() > kIdBytesMax
             ? fail(Errc::kInvalidRequest, "the id has 1 to 512 bytes")
             : Status();
}

class DocumentAction final : public Action {
 public:
  DocumentAction(std::string target, sql::Template index, sql::Template id)
      : target_(std::move(target)), index_(std::move(index)), id_(std::move(id)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return fields[kIndex]; }

  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kId];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    if (!input.is_json) {
      return fail(Errc::kInvalidRequest, "the result is not JSON, so it is no document");
    }
    Fields fields(kFieldCount);
    IOTCORE_ASSIGN(fields[kIndex], input.evaluation.render(index_));
    IOTCORE_ASSIGN(fields[kId], input.evaluation.render(id_));
    IOTCORE_TRY(check_index(fields[kIndex]));
    IOTCORE_TRY(check_id(fields[kId]));
    return fields;
  }

 private:
  std::string target_;
  sql::Template index_;
  sql::Template id_;
};

class Writer final : public Sink {
 public:
  // With a target or an endpoint.
  Writer(
      TargetRef target, std::string endpoint, const Targets* targets, const net::HttpRules* rules
  )
      : target_(std::move(target)),
        endpoint_(std::move(endpoint)),
        targets_(targets),
        rules_(rules == nullptr ? net::HttpRules() : *rules) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    if (const Status open = ensure_open(); !open) {
      std::ranges::fill(outcomes, outcome_of(open.error(), kWho));
      return;
    }
    std::vector<std::size_t> places;
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (Result<std::string> made = lines_of(*batch[i])) {
        places.push_back(i);
        lines.push_back(*std::move(made));
      } else {
        outcomes[i] = Outcome::permanent(made.error().message());
      }
    }
    send(lines, places, outcomes);
  }

  Status probe() override {
    IOTCORE_TRY(ensure_open());
    const Result<net::HttpResponse> response = call("GET", "/", "");
    if (!response) {
      return fail(response.error());
    }
    return is_worth_a_retry(response->status)
               ? fail(Errc::kUnavailable, fmt::format("{}: {}", kWho, response->status))
               : Status();
  }

 private:
  Status ensure_open() {
    if (connection_) {
      return {};
    }
    if (target_ != nullptr) {
      IOTCORE_ASSIGN(options_, open_target(*target_, *targets_, read_options));
    } else {
      IOTCORE_ASSIGN(options_, options_of_endpoint(endpoint_));
    }
    IOTCORE_ASSIGN(net::HttpServer server, load_server(options_.http));
    if (target_ == nullptr) {
      // A rule's word, which may come from anybody who may make rules; a target is the configuration's.
      server.admits = [this, tls = server.tls](std::string_view ip) {
        return net::check_address(rules_, tls, ip);
      };
    }
    connection_.emplace(std::move(server));
    return {};
  }

  static Result<std::string> lines_of(const Record& record) {
    if (record.fields.size() != kFieldCount) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    const Result<json::value> document = parse_json(record.payload);
    if (!document || !document->is_object()) {
      return fail(Errc::kInvalidRequest, "the result is not an object, so it is no document");
    }
    std::string lines = R"({"index":{"_index":)";
    append_json_string(lines, record.fields[kIndex]);
    lines += R"(,"_id":)";
    append_json_string(lines, record.fields[kId]);
    lines += "}}\n";
    append_json(lines, *document);  // on one line, whatever the payload looked like
    return lines + "\n";
  }

  Result<net::HttpResponse> call(std::string method, std::string_view path, std::string body) {
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = options_.http.path + std::string(path);
    request.headers.add("Host", net::host_header(connection_->server()));
    request.headers.add("Content-Type", "application/x-ndjson");
    request.body = std::move(body);
    if (!options_.user.empty()) {
      request.headers.add(
          "Authorization", "Basic " + to_base64(options_.user + ":" + options_.password)
      );
    } else if (!options_.signing.credentials.access_key_id.empty()) {
      net::sign(
          request,
          options_.signing.credentials,
          {options_.signing.region, "es"},
          SystemClock().wall()
      );
    }
    return connection_->call(std::move(request), options_.http.timeout);
  }

  void send(
      std::span<const std::string> lines,
      std::span<const std::size_t> places,
      std::span<Outcome> outcomes
  ) {
    if (lines.empty()) {
      return;
    }
    std::string body;
    for (const std::string& each : lines) {
      body += each;
    }
    const Result<net::HttpResponse> response = call("POST", "/_bulk", std::move(body));
    if (response && response->status == 413 && lines.size() > 1) {
      const std::size_t half = lines.size() / 2;
      send(lines.first(half), places.first(half), outcomes);
      send(lines.subspan(half), places.subspan(half), outcomes);
      return;
    }
    Outcome all = response ? outcome_of(*response, kWho) : outcome_of(response.error(), kWho);
    if (!response && response.error().code() == Errc::kForbidden) {
      all = Outcome::permanent(response.error().message());
    }
    for (const std::size_t place : places) {
      outcomes[place] = all;
    }
    if (all.kind == Outcome::Kind::kDelivered) {
      read_items(response->body, places, outcomes);
    }
  }

  // {"errors": true, "items": [{"index": {"status": 400, "error": {…}}}, …]}
  static void read_items(
      const std::string& body, std::span<const std::size_t> places, std::span<Outcome> outcomes
  ) {
    const Result<json::value> answer = parse_json(body);
    const json::object* members = answer ? answer->if_object() : nullptr;
    const json::value* items = members == nullptr ? nullptr : members->if_contains("items");
    if (items == nullptr || !items->is_array() || items->get_array().size() != places.size()) {
      for (const std::size_t place : places) {
        outcomes[place] = Outcome::retry("OpenSearch: an answer that can't be read");
      }
      return;
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
      boost::system::error_code missing;
      const json::value* status = items->get_array()[i].find_pointer("/index/status", missing);
      const auto number = status == nullptr ? 0 : status->to_number<int>(missing);
      if (number / 100 == 2) {
        continue;
      }
      const json::value* error = items->get_array()[i].find_pointer("/index/error", missing);
      std::string reason = fmt::format(
          "OpenSearch: {} {}", number, error == nullptr ? std::string() : to_json(*error)
      );
      outcomes[places[i]] = number == 0 || is_worth_a_retry(number)
                                ? Outcome::retry(std::move(reason))
                                : Outcome::permanent(std::move(reason));
    }
  }

  const TargetRef target_;
  const std::string endpoint_;
  const Targets* targets_;
  const net::HttpRules rules_;
  Options options_;
  std::optional<net::HttpConnection> connection_;
};

}  // namespace

void check_open_search(MemberReader& members) {
  read_options(members);
}

ParsedAction OpenSearch::parse(MemberReader& members, const SinkEnvironment& environment) {
  const std::string endpoint = members.text("endpoint");
  std::optional<sql::Template> index = members.text_template("index");
  std::optional<sql::Template> type = members.text_template("type");
  std::optional<sql::Template> id = members.text_template("id");
  TargetRef target;
  if (!endpoint.empty() && environment.targets != nullptr) {
    target = environment.targets->bind(kBindingKind, endpoint);
  }
  if (!endpoint.empty() && target == nullptr) {
    if (const Result<Options> valid = options_of_endpoint(endpoint); !valid) {
      members.fail_member("endpoint", "must be http://host:port or https://host:port");
    }
  }
  if (index && index->is_literal()) {
    if (const Status valid = check_index(index->text()); !valid) {
      members.fail_member("index", valid.error().message());
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  return std::make_unique<DocumentAction>(
      target != nullptr ? target->name : endpoint, *std::move(index), *std::move(id)
  );
}

Result<std::unique_ptr<Sink>> OpenSearch::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  if (target.find("://") != std::string_view::npos) {
    return std::make_unique<Writer>(
        nullptr,
        std::string(target),
        environment.targets,
        environment.built_ins == nullptr ? nullptr : &environment.built_ins->destinations.http()
    );
  }
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  return std::make_unique<Writer>(std::move(found), "", environment.targets, nullptr);
}

}  // namespace iotcore::rules::actions
