#include "server/sqs_api.h"

#include "base/crypto.h"
#include "server/sqs_protocol.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>

namespace iotcore::server {
namespace {

constexpr std::chrono::seconds kHiddenDefault(30);
constexpr std::int64_t kHiddenMaxS = 43'200;
constexpr std::int64_t kWaitMaxS = 20;
constexpr std::int64_t kMessagesMax = 10;
constexpr std::size_t kBodyBytesMax = 256U << 10;

Result<std::int64_t> number_in(
    const json::object& parameters,
    std::string_view name,
    std::int64_t absent,
    std::int64_t min,
    std::int64_t max
) {
  const json::value* value = find_member(parameters, name);
  if (value == nullptr) {
    return absent;
  }
  std::int64_t number = min - 1;
  if (value->is_int64()) {
    number = value->get_int64();
  } else if (value->is_string()) {
    const std::string_view text = value->get_string();
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || at != text.data() + text.size()) {
      number = min - 1;
    }
  }
  if (number < min || number > max) {
    return fail(Errc::kInvalidRequest, fmt::format("{} must be {} to {}.", name, min, max));
  }
  return number;
}

std::string text_in(const json::object& parameters, std::string_view name) {
  const json::value* value = find_member(parameters, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::object shown(const rules::MessageQueues::Message& message) {
  json::object attributes;
  attributes["SenderId"] = "rules";
  attributes["SentTimestamp"] = fmt::to_string(message.sent_ms);
  attributes["ApproximateFirstReceiveTimestamp"] = fmt::to_string(message.first_received_ms);
  attributes["ApproximateReceiveCount"] = fmt::to_string(message.receives);
  json::object out;
  out["MessageId"] = message.id;
  out["ReceiptHandle"] = message.receipt;
  out["MD5OfBody"] = to_hex(digest(Digest::kMd5, message.body));
  out["Body"] = message.body;
  out["Attributes"] = std::move(attributes);
  return out;
}

}  // namespace

// One call on its way.
struct SqsApi::Call {
  SqsRequest request;
  gateway::CallerIdentity caller;
  std::string queue;  // empty: the operation has none
  gateway::HttpReply reply;

  void answer(const Result<json::object>& result) {
    reply(result ? sqs_response(request, *result) : sqs_error(request, result.error()));
  }
};

SqsApi::SqsApi(
    rules::Engine& engine,
    gateway::AccessControl& access,
    Executor& pool,
    const EndpointName& endpoint
)
    : queues_(engine.built_ins().queues),
      access_(access),
      pool_(pool),
      endpoint_(endpoint),
      region_(engine.account().region),
      account_(engine.account().account) {}

bool SqsApi::concerns(const net::HttpRequest& request) {
  return is_sqs_request(request);
}

std::string SqsApi::url_of(std::string_view queue) const {
  return fmt::format("{}/{}/{}", endpoint_.origin(), account_, queue);
}

void SqsApi::handle(
    net::HttpRequest request, gateway::CallerIdentity caller, gateway::HttpReply reply
) {
  // Second owner: the receiver's callback.
  auto call = std::make_shared<Call>();
  call->caller = std::move(caller);
  call->reply = std::move(reply);
  Result<SqsRequest> parsed = parse_sqs_request(request);
  if (!parsed) {
    call->answer(fail(parsed.error()));
    return;
  }
  call->request = std::move(*parsed);
  using Kind = broker::PeerIdentity::Kind;
  const Kind kind = call->caller.peer.kind;
  if (kind == Kind::kCertificate || kind == Kind::kCustomAuthorizer) {
    call->answer(fail(Errc::kAccessDenied, "Devices have no queues."));
    return;
  }
  pool_.post([this, call = std::move(call)]() mutable { run(std::move(call)); });
}

void SqsApi::run(std::shared_ptr<Call> call) {
  const json::object& parameters = call->request.parameters;
  std::string name = text_in(parameters, "QueueName");
  const std::string url = text_in(parameters, "QueueUrl");
  if (name.empty() && !url.empty()) {
    name = url.substr(url.rfind('/') + 1);
  }
  call->queue = std::move(name);
  if (!access_.is_unrestricted(call->caller)) {
    const std::string arn = fmt::format(
        "arn:aws:sqs:{}:{}:{}", region_, account_, call->queue.empty() ? "*" : call->queue
    );
    const Status allowed =
        access_.allows(call->caller, "sqs:" + call->request.operation, std::span(&arn, 1));
    if (!allowed) {
      call->answer(fail(allowed.error()));
      return;
    }
  }
  if (call->request.operation == "ReceiveMessage") {
    receive(std::move(call));
    return;
  }
  call->answer(perform(*call));
}

SqsApi::Answer SqsApi::perform(Call& call) {
  const std::string& operation = call.request.operation;
  const json::object& parameters = call.request.parameters;
  if (operation == "ListQueues") {
    return list(call);
  }
  if (operation == "CreateQueue") {
    IOTCORE_TRY(queues_.create(call.queue));
    return json::object{{"QueueUrl", url_of(call.queue)}};
  }
  if (operation == "GetQueueUrl") {
    IOTCORE_TRY(queues_.counts(call.queue));
    return json::object{{"QueueUrl", url_of(call.queue)}};
  }
  if (operation == "GetQueueAttributes") {
    return get_attributes(call);
  }
  if (operation == "SendMessage") {
    return send(call);
  }
  const auto erase = [&](const json::object& entry) {
    return queues_.erase(call.queue, text_in(entry, "ReceiptHandle"));
  };
  const auto hide = [&](const json::object& entry) -> Status {
    IOTCORE_ASSIGN(
        const std::int64_t seconds, number_in(entry, "VisibilityTimeout", -1, 0, kHiddenMaxS)
    );
    if (seconds < 0) {
      return fail(Errc::kInvalidRequest, "VisibilityTimeout is missing.");
    }
    return queues_.set_visibility(
        call.queue, text_in(entry, "ReceiptHandle"), std::chrono::seconds(seconds)
    );
  };
  if (operation == "DeleteMessageBatch") {
    return each_entry(call, "DeleteMessageBatchRequestEntry", erase);
  }
  if (operation == "ChangeMessageVisibilityBatch") {
    return each_entry(call, "ChangeMessageVisibilityBatchRequestEntry", hide);
  }
  Status done = fail(Errc::kUnknownOperation, "The action " + operation + " is not known here.");
  if (operation == "DeleteMessage") {
    done = erase(parameters);
  } else if (operation == "ChangeMessageVisibility") {
    done = hide(parameters);
  } else if (operation == "PurgeQueue") {
    done = queues_.purge(call.queue);
  } else if (operation == "DeleteQueue") {
    done = queues_.remove(call.queue);
  }
  IOTCORE_TRY(std::move(done));
  return json::object();
}

SqsApi::Answer SqsApi::get_attributes(const Call& call) {
  IOTCORE_ASSIGN(const rules::MessageQueues::Counts counts, queues_.counts(call.queue));
  const json::object all = {
      {"ApproximateNumberOfMessages", fmt::to_string(counts.visible)},
      {"ApproximateNumberOfMessagesNotVisible", fmt::to_string(counts.hidden)},
      {"ApproximateNumberOfMessagesDelayed", "0"},
      {"CreatedTimestamp", fmt::to_string(counts.created_ms / 1000)},
      {"VisibilityTimeout", fmt::to_string(kHiddenDefault.count())},
      {"QueueArn", fmt::format("arn:aws:sqs:{}:{}:{}", region_, account_, call.queue)}};
  json::object wanted;
  for (const json::value& name : sqs_list(call.request, "AttributeNames", "AttributeName")) {
    const std::string_view text = name.is_string() ? std::string_view(name.get_string()) : "";
    for (const auto& attribute : all) {
      if (text == "All" || text == attribute.key()) {
        wanted[attribute.key()] = attribute.value();
      }
    }
  }
  return json::object{{"Attributes", std::move(wanted)}};
}

SqsApi::Answer SqsApi::list(const Call& call) {
  json::array urls;
  for (const std::string& queue :
       queues_.list(text_in(call.request.parameters, "QueueNamePrefix"))) {
    urls.emplace_back(url_of(queue));
  }
  json::object result;
  if (!urls.empty()) {
    result["QueueUrls"] = std::move(urls);
  }
  return result;
}

SqsApi::Answer SqsApi::send(const Call& call) {
  const std::string body = text_in(call.request.parameters, "MessageBody");
  if (body.empty() || body.size() > kBodyBytesMax) {
    return fail(Errc::kInvalidRequest, "MessageBody must have 1 to 262144 bytes.");
  }
  IOTCORE_TRY(queues_.counts(call.queue));  // only rules make queues by sending
  const std::string_view text = body;
  IOTCORE_ASSIGN(const std::vector<std::string> ids, queues_.send(call.queue, std::span(&text, 1)));
  return json::object{
      {"MessageId", ids.front()}, {"MD5OfMessageBody", to_hex(digest(Digest::kMd5, body))}};
}

SqsApi::Answer SqsApi::each_entry(
    Call& call, std::string_view form_name, const std::function<Status(const json::object&)>& act
) {
  IOTCORE_TRY(queues_.counts(call.queue));
  const json::array entries = sqs_list(call.request, "Entries", form_name);
  if (entries.empty() || entries.size() > static_cast<std::size_t>(kMessagesMax)) {
    return fail(Errc::kInvalidRequest, "A batch has 1 to 10 entries.");
  }
  json::array successful;
  json::array failed;
  for (const json::value& entry : entries) {
    if (!entry.is_object()) {
      return fail(Errc::kInvalidRequest, "An entry is not an object.");
    }
    const std::string id = text_in(entry.get_object(), "Id");
    const Status done = act(entry.get_object());
    if (done) {
      successful.push_back(json::object{{"Id", id}});
    } else {
      failed.push_back(json::object{
          {"Id", id},
          {"SenderFault", true},
          {"Code", sqs_error_code(done.error())},
          {"Message", done.error().message()}});
    }
  }
  return json::object{{"Successful", std::move(successful)}, {"Failed", std::move(failed)}};
}

void SqsApi::receive(std::shared_ptr<Call> call) {
  const json::object& parameters = call->request.parameters;
  const auto count = number_in(parameters, "MaxNumberOfMessages", 1, 1, kMessagesMax);
  const auto hidden =
      number_in(parameters, "VisibilityTimeout", kHiddenDefault.count(), 0, kHiddenMaxS);
  const auto wait = number_in(parameters, "WaitTimeSeconds", 0, 0, kWaitMaxS);
  for (const auto* given : {&count, &hidden, &wait}) {
    if (!*given) {
      call->answer(fail(given->error()));
      return;
    }
  }
  queues_.receive(
      call->queue,
      static_cast<std::size_t>(*count),
      std::chrono::seconds(*hidden),
      std::chrono::seconds(*wait),
      [call](Result<std::vector<rules::MessageQueues::Message>> messages) {
        if (!messages) {
          call->answer(fail(messages.error()));
          return;
        }
        json::array list;
        for (const rules::MessageQueues::Message& message : *messages) {
          list.push_back(shown(message));
        }
        json::object result;
        if (!list.empty()) {
          result["Messages"] = std::move(list);
        }
        call->answer(std::move(result));
      }
  );
}

}  // namespace iotcore::server
