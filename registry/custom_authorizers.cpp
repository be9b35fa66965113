#include "registry/custom_authorizers.h"

#include "base/crypto.h"
#include "base/log.h"
#include "net/http_message.h"
#include "registry/pki/certificate.h"
#include "registry/pki/token_signature.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::size_t kThreads = 16;
constexpr std::size_t kCachedMax = 10'000;
constexpr std::chrono::seconds kCachedFor(300);
constexpr std::size_t kForgetMin = 1000;
constexpr std::string_view kNameHeader = "x-amz-customauthorizer-name";
constexpr std::string_view kSignatureHeader = "x-amz-customauthorizer-signature";

tl::unexpected<Error> refuse(const char* code, std::string why) {
  return fail(Error(Errc::kNotAuthorized, std::move(why)).with("code", code));
}

const std::string* find_header(const AuthorizerEvent::Http& http, std::string_view name) {
  const auto found =
      std::find_if(http.headers.begin(), http.headers.end(), [name](const auto& field) {
        return net::equal_ignoring_case(field.first, name);
      });
  return found == http.headers.end() ? nullptr : &found->second;
}

UserNameParameters query_parameters(const AuthorizerEvent::Http& http) {
  const std::string_view query = http.query_string;
  return parse_authorizer_query(query.starts_with('?') ? query.substr(1) : query);
}

// What the request says about its authorizer: in the user name, in a header or in the query.
struct Credentials {
  std::optional<std::string> authorizer;
  std::optional<std::string> signature;
  std::optional<std::string> token;
};

Credentials credentials_of(const AuthorizerRequest& request, std::string_view token_key) {
  Credentials out;
  const auto take = [&](const UserNameParameters& parameters) {
    out.authorizer = out.authorizer ? out.authorizer : parameters.authorizer_name;
    out.signature = out.signature ? out.signature : parameters.signature;
    const std::string* token = token_key.empty() ? nullptr : parameters.find(token_key);
    out.token = out.token || token == nullptr ? out.token : std::optional(*token);
  };
  if (request.mqtt && request.mqtt->user_name) {
    take(parse_user_name(*request.mqtt->user_name));
  }
  if (request.http) {
    UserNameParameters headers;
    if (const std::string* name = find_header(*request.http, kNameHeader)) {
      headers.authorizer_name = *name;
    }
    if (const std::string* signature = find_header(*request.http, kSignatureHeader)) {
      // Some clients encode it though it stands in a header.
      headers.signature = net::percent_decode(*signature).value_or(*signature);
    }
    if (!token_key.empty()) {
      if (const std::string* token = find_header(*request.http, token_key)) {
        headers.others.emplace_back(std::string(token_key), *token);
      }
    }
    take(headers);
    take(query_parameters(*request.http));
  }
  return out;
}

DeviceFacts facts_of(const AuthorizerRequest& request, const std::string& principal) {
  DeviceFacts facts;
  facts.authorizer_principal = principal;
  facts.client_id = request.mqtt ? request.mqtt->client_id.value_or("") : "";
  facts.source_ip = request.source_ip;
  facts.server_name = request.server_name;
  facts.protocol = request.protocol;
  facts.persistent_connect = request.persistent_connect;
  facts.has_will = request.has_will;
  return facts;
}

Status check_signature(const record::Authorizer& authorizer, const Credentials& credentials) {
  if (authorizer.signing_disabled()) {
    return {};
  }
  if (!credentials.token || !credentials.signature) {
    return refuse("CUSTOM_AUTHORIZER_PARAMETER_INVALID", "the token or its signature is missing");
  }
  const auto signature = from_base64(*credentials.signature);
  const auto& keys = authorizer.token_signing_public_keys();
  const bool verified =
      signature && std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
        return pki::is_token_signature(key.second, *credentials.token, *signature);
      });
  return verified ? Status()
                  : refuse("CUSTOM_AUTHORIZER_PARAMETER_INVALID", "the token's signature is wrong");
}

}  // namespace

CustomAuthorizers::CustomAuthorizers(
    Authorizers& authorizers,
    const DomainTable& domains,
    LiveDevices& devices,
    AuthorizerFunctions functions,
    const Clock& clock,
    const Options& options,
    Metrics& metrics
)
    : authorizers_(authorizers),
      domains_(domains),
      devices_(devices),
      functions_(std::move(functions)),
      clock_(clock),
      options_(options),
      accepted_(metrics.counter(
          "iotcore_authorizer_calls_total",
          "Calls of custom authorizers' functions, by outcome",
          {{"outcome", "accepted"}}
      )),
      refused_(metrics.counter(
          "iotcore_authorizer_calls_total",
          "Calls of custom authorizers' functions, by outcome",
          {{"outcome", "refused"}}
      )),
      failed_(metrics.counter(
          "iotcore_authorizer_calls_total",
          "Calls of custom authorizers' functions, by outcome",
          {{"outcome", "failed"}}
      )),
      pool_("authorizers", kThreads),
      refresher_([this] { run(); }) {}

CustomAuthorizers::~CustomAuthorizers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakeup_.notify_all();
  refresher_.join();
}

bool CustomAuthorizers::concerns(const AuthorizerRequest& request) {
  const auto chosen = choose(request);
  return chosen && chosen->has_value();
}

Result<std::optional<std::string>> CustomAuthorizers::choose(const AuthorizerRequest& request) {
  const Credentials credentials = credentials_of(request, {});
  const auto domain = domains_.find(request.server_name);
  const bool domain_decides =
      domain != nullptr && domain->has_authorizer_config() && domain->has_default_authorizer_name();
  if (credentials.authorizer && (!domain_decides || domain->allow_authorizer_override())) {
    return credentials.authorizer;
  }
  if (domain_decides) {
    return std::optional<std::string>(domain->default_authorizer_name());
  }
  return authorizers_.default_name();
}

Result<CustomAuthorizers::Asked> CustomAuthorizers::question(
    const std::string& name, const record::Authorizer& authorizer, const AuthorizerRequest& request
) {
  const Credentials credentials = credentials_of(request, authorizer.token_key_name());
  IOTCORE_TRY(check_signature(authorizer, credentials));
  AuthorizerEvent event;
  event.token = credentials.token;
  event.signature_verified = !authorizer.signing_disabled();
  if (!request.server_name.empty()) {
    event.server_name = request.server_name;
  }
  event.http = request.http;
  event.mqtt = request.mqtt;
  if (!request.certificate_id.empty()) {
    event.certificate_id = request.certificate_id;
    event.certificate_pem = pki::pem_from_der(request.certificate_der);
  }
  // The connection's id is in the question, and no two are equal; without it, the same credentials are the same question.
  // What an authorizer answered before it was changed counts no more.
  const std::string same = name + '\n' + authorizer.function_arn() + '\n' +
                           std::to_string(authorizer.modified_ms()) + '\n' + request.source_ip +
                           '\n' + to_json_text(event);
  event.connection_id = new_uuid();
  return Asked{
      name,
      authorizer.function_arn(),
      to_json_text(event),
      request.certificate_id,
      to_hex(as_text(sha256(same)))};
}

Result<AuthorizerAnswer> CustomAuthorizers::ask(const Asked& asked) {
  std::promise<Result<AuthorizerAnswer>> promise;
  {
    std::unique_lock lock(mutex_);
    const auto [place, first] = in_flight_.try_emplace(asked.digest);
    if (!first) {
      const auto answer = place->second;
      lock.unlock();
      return answer.get();
    }
    place->second = promise.get_future().share();
  }
  auto answer = call(asked);
  {
    const std::lock_guard lock(mutex_);
    in_flight_.erase(asked.digest);
  }
  promise.set_value(answer);
  return answer;
}

Result<AuthorizerAnswer> CustomAuthorizers::call(const Asked& asked) {
  const auto text =
      call_authorizer_function(functions_, asked.authorizer, asked.function_arn, asked.event);
  auto answer = text ? parse_authorizer_answer(*text, asked.certificate_id)
                     : Result<AuthorizerAnswer>(fail(text.error()));
  if (!answer) {
    failed_.add_shared();
    log(LogLevel::kWarn,
        "authorizer.failed",
        {{"authorizer", asked.authorizer}, {"why", answer.error().message()}});
    return refuse("CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR", answer.error().message());
  }
  if (!answer->is_authenticated) {
    refused_.add_shared();
    return refuse("NOT_AUTHENTICATED", "the authorizer " + asked.authorizer + " refused");
  }
  accepted_.add_shared();
  return answer;
}

Result<Grants> CustomAuthorizers::grants_of(
    const AuthorizerAnswer& answer, const DeviceFacts& facts
) const {
  const auto compiled =
      policy::CompiledPolicies::compile(answer.policies, options_.account.arn_prefix());
  return Grants{
      compiled->bind(context_of(facts, nullptr, std::nullopt, clock_)), {}, WallTime::max(), {}};
}

Result<std::shared_ptr<LiveDevice>> CustomAuthorizers::open_certificate(
    const AuthorizerRequest& request
) {
  DeviceFacts facts = facts_of(request, request.certificate_id);
  facts.certificate_id = request.certificate_id;
  facts.added = std::make_shared<AddedPolicies>();
  return devices_.open(std::move(facts));
}

Result<std::shared_ptr<const CustomPeer>> CustomAuthorizers::authorize(
    const AuthorizerRequest& request
) {
  IOTCORE_ASSIGN(const std::optional<std::string> name, choose(request));
  if (!name) {
    return refuse("CUSTOM_AUTHORIZER_NOT_FOUND", "no authorizer is named, and none is the default");
  }
  const auto authorizer = authorizers_.find(*name);
  if (!authorizer || !authorizer->active()) {
    return refuse("CUSTOM_AUTHORIZER_NOT_FOUND", "there is no active authorizer " + *name);
  }
  auto peer = std::make_shared<CustomPeer>();
  if (!request.certificate_id.empty()) {
    // Before the function is asked: it need not know every certificate that somebody shows.
    IOTCORE_ASSIGN(peer->device, open_certificate(request));
  }
  IOTCORE_ASSIGN(Asked asked, question(*name, *authorizer, request));
  const bool cached = authorizer->enable_caching_for_http() && request.http && !request.mqtt &&
                      request.certificate_id.empty();
  if (cached) {
    const std::lock_guard lock(mutex_);
    if (const auto kept = http_cache_.find(asked.digest);
        kept != http_cache_.end() && clock_.now() < kept->second.until) {
      return kept->second.peer;
    }
  }
  IOTCORE_ASSIGN(AuthorizerAnswer answer, ask(asked));
  peer->principal = answer.principal_id;
  peer->disconnect_after = answer.disconnect_after;
  if (peer->device != nullptr) {
    peer->device->facts().added->set(std::move(answer.policies));
    devices_.reread(peer->device);
  } else {
    DeviceFacts facts = facts_of(request, answer.principal_id);
    IOTCORE_ASSIGN(Grants grants, grants_of(answer, facts));
    peer->device = devices_.adopt(std::move(facts), std::move(grants));
  }
  if (cached) {
    keep(asked.digest, peer, answer.refresh_after.value_or(kCachedFor));
  }
  if (answer.refresh_after && request.mqtt) {
    schedule(peer->device, std::move(asked), *answer.refresh_after);
  }
  return std::shared_ptr<const CustomPeer>(std::move(peer));
}

void CustomAuthorizers::keep(
    const std::string& digest, std::shared_ptr<const CustomPeer> peer, std::chrono::seconds how_long
) {
  const std::lock_guard lock(mutex_);
  if (http_cache_.size() >= kCachedMax) {
    http_cache_.clear();
  }
  http_cache_[digest] = {std::move(peer), clock_.now() + how_long};
}

void CustomAuthorizers::schedule(
    const std::shared_ptr<LiveDevice>& device, Asked asked, std::chrono::seconds after
) {
  {
    const std::lock_guard lock(mutex_);
    // A client that keeps connecting must not fill the memory with what was due for its connections of before.
    if (due_.size() >= forget_at_) {
      std::erase_if(due_, [](const auto& entry) { return entry.second.device.expired(); });
      forget_at_ = 2 * due_.size() + kForgetMin;
    }
    due_.emplace(clock_.now() + after, Refresh{device, std::move(asked)});
  }
  wakeup_.notify_all();
}

std::optional<MonotonicTime> CustomAuthorizers::refresh_due() {
  while (true) {
    Refresh next;
    {
      const std::lock_guard lock(mutex_);
      if (due_.empty()) {
        return std::nullopt;
      }
      const auto first = due_.begin();
      if (first->first > clock_.now()) {
        return first->first;
      }
      next = std::move(first->second);
      due_.erase(first);
    }
    if (!next.device.expired()) {
      pool_.post([this, next = std::move(next)] { refresh(next); });
    }
  }
}

std::size_t CustomAuthorizers::refreshes_waiting() {
  const std::lock_guard lock(mutex_);
  return due_.size();
}

Result<AuthorizerAnswer> CustomAuthorizers::ask_again(Asked asked) {
  IOTCORE_ASSIGN(const record::Authorizer authorizer, authorizers_.find(asked.authorizer));
  if (!authorizer.active()) {
    return refuse("CUSTOM_AUTHORIZER_NOT_FOUND", asked.authorizer + " is not active any more");
  }
  if (asked.function_arn != authorizer.function_arn()) {
    asked.function_arn = authorizer.function_arn();
    asked.digest += '\n' + asked.function_arn;
  }
  return ask(asked);
}

void CustomAuthorizers::refresh(const Refresh& due) {
  const std::shared_ptr<LiveDevice> device = due.device.lock();
  if (device == nullptr) {
    return;
  }
  auto answer = ask_again(due.asked);
  if (const auto& added = device->facts().added; added != nullptr) {
    added->set(answer ? std::optional(std::move(answer->policies)) : std::nullopt);
    devices_.reread(device);  // which cuts it off if it has lost its rights
    if (answer && answer->refresh_after) {
      schedule(device, due.asked, *answer->refresh_after);
    }
    return;
  }
  auto grants = answer ? grants_of(*answer, device->facts()) : Result<Grants>(fail(answer.error()));
  if (!grants) {
    devices_.replace(*device, std::nullopt);
    if (lost_) {
      lost_(device->facts().client_id);
    }
    return;
  }
  devices_.replace(*device, *std::move(grants));
  // An answer that no longer says when is not asked for again.
  if (answer->refresh_after) {
    schedule(device, due.asked, *answer->refresh_after);
  }
}

void CustomAuthorizers::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const std::optional<MonotonicTime> next = refresh_due();
    lock.lock();
    const auto woken = [this, &next] {
      return stopping_ || (!due_.empty() && (!next || due_.begin()->first < *next));
    };
    if (next) {
      wakeup_.wait_until(lock, *next, woken);
    } else {
      wakeup_.wait(lock, woken);
    }
  }
}

Result<api::TestInvokeAuthorizerResponse> CustomAuthorizers::test(
    const api::TestInvokeAuthorizerRequest& request
) {
  IOTCORE_ASSIGN(const record::Authorizer authorizer, authorizers_.find(request.authorizer_name()));
  AuthorizerRequest asked;
  asked.server_name = request.tls_context().server_name();
  if (request.has_http_context()) {
    asked.http.emplace();
    for (const auto& [name, value] : request.http_context().headers()) {
      asked.http->headers.emplace_back(name, value);
    }
    asked.http->query_string = request.http_context().query_string();
  }
  if (request.has_mqtt_context()) {
    const api::MqttContext& mqtt = request.mqtt_context();
    asked.mqtt.emplace();
    asked.mqtt->user_name = mqtt.has_username() ? std::optional(mqtt.username()) : std::nullopt;
    asked.mqtt->password = mqtt.has_password() ? std::optional(mqtt.password()) : std::nullopt;
    asked.mqtt->client_id = mqtt.has_client_id() ? std::optional(mqtt.client_id()) : std::nullopt;
  }
  Credentials credentials = credentials_of(asked, authorizer.token_key_name());
  if (request.has_token()) {
    credentials.token = request.token();
  }
  if (request.has_token_signature()) {
    credentials.signature = request.token_signature();
  }
  if (auto checked = check_signature(authorizer, credentials); !checked) {
    return fail(Errc::kInvalidRequest, checked.error().message());
  }
  AuthorizerEvent event;
  event.token = credentials.token;
  event.signature_verified = !authorizer.signing_disabled();
  event.http = asked.http;
  event.mqtt = asked.mqtt;
  if (!asked.server_name.empty()) {
    event.server_name = asked.server_name;
  }
  event.connection_id = new_uuid();
  const auto text = call_authorizer_function(
      functions_, request.authorizer_name(), authorizer.function_arn(), to_json_text(event)
  );
  if (!text) {
    return fail(Errc::kInvalidResponse, text.error().message());
  }
  IOTCORE_ASSIGN(const AuthorizerAnswer answer, parse_authorizer_answer(*text));
  api::TestInvokeAuthorizerResponse response;
  response.set_is_authenticated(answer.is_authenticated);
  if (!answer.is_authenticated) {
    return response;
  }
  response.set_principal_id(answer.principal_id);
  for (const std::string& document : answer.policy_texts) {
    response.add_policy_documents(document);
  }
  response.set_disconnect_after_in_seconds(static_cast<std::int32_t>(answer.disconnect_after.count()
  ));
  if (answer.refresh_after) {
    response.set_refresh_after_in_seconds(static_cast<std::int32_t>(answer.refresh_after->count()));
  }
  return response;
}

}  // namespace iotcore::registry
