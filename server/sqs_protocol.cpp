#include "server/sqs_protocol.h"

#include "base/crypto.h"
#include "base/errc.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace iotcore::server {
namespace {

constexpr std::string_view kTarget = "AmazonSQS.";
constexpr std::string_view kForm = "application/x-www-form-urlencoded";
constexpr std::string_view kNamespace = "http://queue.amazonaws.com/doc/2012-11-05/";
constexpr std::size_t kListMax = 100;

struct ErrorForm {
  Errc code;
  std::string_view form;  // in the query protocol
  std::string_view json;
};

constexpr auto kErrors = std::to_array<ErrorForm>({
    {Errc::kNotFound, "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"},
    {Errc::kUnknownOperation, "InvalidAction", "UnsupportedOperation"},
    {Errc::kAccessDenied, "AccessDenied", "AccessDeniedException"},
    {Errc::kConflict, "AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight"},
    {Errc::kQuotaExceeded, "OverLimit", "OverLimit"},
    {Errc::kInvalidRequest, "InvalidParameterValue", "InvalidParameterValueException"},
});

const ErrorForm* form_of(const Error& error) {
  for (const ErrorForm& each : kErrors) {
    if (each.code == error.code()) {
      return &each;
    }
  }
  return nullptr;
}

// Lists, and how their elements are named in XML.
constexpr auto kElements = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"Messages", "Message"},
    {"QueueUrls", "QueueUrl"},
    {"Failed", "BatchResultErrorEntry"},
});

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '\r':
        out += "&#xD;";
        break;
      default:
        out += c;
    }
  }
}

void append_xml(
    std::string& out, std::string_view operation, std::string_view name, const json::value& value
);

void append_members(std::string& out, std::string_view operation, const json::object& members) {
  for (const auto& member : members) {
    append_xml(out, operation, member.key(), member.value());
  }
}

std::string element_of(std::string_view operation, std::string_view list) {
  for (const auto& [name, element] : kElements) {
    if (name == list) {
      return std::string(element);
    }
  }
  return std::string(operation) + "ResultEntry";  // Successful
}

void append_xml(
    std::string& out, std::string_view operation, std::string_view name, const json::value& value
) {
  if (value.is_array()) {
    const std::string element = element_of(operation, name);
    for (const json::value& each : value.get_array()) {
      append_xml(out, operation, element, each);
    }
    return;
  }
  if (value.is_object() && name == "Attributes") {
    for (const auto& attribute : value.get_object()) {
      out += "<Attribute>";
      append_xml(out, operation, "Name", json::value(attribute.key()));
      append_xml(out, operation, "Value", attribute.value());
      out += "</Attribute>";
    }
    return;
  }
  out += fmt::format("<{}>", name);
  if (value.is_object()) {
    append_members(out, operation, value.get_object());
  } else {
    append_escaped(out, value.is_string() ? std::string(value.get_string()) : to_json(value));
  }
  out += fmt::format("</{}>", name);
}

// "Name.2.Id=x" becomes the member Id of the second object of the list Name; "Name.2=x" its second element.
Status add_parameter(json::object& to, std::string_view name, std::string value) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) {
    to[name] = std::move(value);
    return {};
  }
  const std::string_view rest = name.substr(dot + 1);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number == 0 || number > kListMax) {
    return fail(Errc::kInvalidRequest, fmt::format("The parameter {} is not known.", name));
  }
  json::value& list = to[name.substr(0, dot)];
  if (!list.is_array()) {
    list = json::array();
  }
  json::array& elements = list.get_array();
  if (elements.size() < number) {
    elements.resize(number);
  }
  json::value& element = elements[number - 1];
  const std::string_view member = rest.substr(static_cast<std::size_t>(end - rest.data()));
  if (member.empty()) {
    element = json::string(value);
  } else {
    if (!element.is_object()) {
      element = json::object();
    }
    element.get_object()[member.substr(1)] = std::move(value);
  }
  return {};
}

// A queue's URL, or that of the service: a form that is posted elsewhere is somebody's message.
bool is_sqs_path(std::string_view path) {
  constexpr std::size_t kAccountDigits = 12;
  if (path.empty() || path == "/") {
    return true;
  }
  const std::string_view account = path.substr(1, path.find('/', 1) - 1);
  return account.size() == kAccountDigits &&
         account.find_first_not_of("0123456789") == std::string_view::npos;
}

bool has_form(const net::HttpRequest& request) {
  const std::string* type = request.headers.find("content-type");
  return type != nullptr && type->starts_with(kForm);
}

}  // namespace

bool is_sqs_request(const net::HttpRequest& request) {
  if (request.method != "POST") {
    return false;
  }
  const std::string* target = request.headers.find("x-amz-target");
  return (target != nullptr && target->starts_with(kTarget)) ||
         (has_form(request) && is_sqs_path(net::split_target(request.target).path) &&
          request.body.find("Action=") != std::string::npos);
}

Result<SqsRequest> parse_sqs_request(const net::HttpRequest& request) {
  SqsRequest parsed;
  parsed.request_id = new_uuid();
  const std::string* target = request.headers.find("x-amz-target");
  if (target != nullptr && target->starts_with(kTarget)) {
    parsed.operation = target->substr(kTarget.size());
    IOTCORE_ASSIGN(json::value body, parse_json(request.body.empty() ? "{}" : request.body));
    if (!body.is_object()) {
      return fail(Errc::kInvalidRequest, "The body is not an object.");
    }
    parsed.parameters = std::move(body.get_object());
    return parsed;
  }
  parsed.is_json = false;
  const auto form = net::parse_query(request.body);
  if (!form) {
    return fail(Errc::kInvalidRequest, "The body is not a form.");
  }
  for (const net::QueryParameter& each : *form) {
    if (each.name == "Action") {
      parsed.operation = each.value;
    } else {
      IOTCORE_TRY(add_parameter(parsed.parameters, each.name, each.value));
    }
  }
  return parsed;
}

json::array sqs_list(const SqsRequest& request, std::string_view name, std::string_view form_name) {
  const json::value* list = find_member(request.parameters, request.is_json ? name : form_name);
  return list != nullptr && list->is_array() ? list->get_array() : json::array();
}

net::HttpResponse sqs_response(const SqsRequest& request, const json::object& result) {
  net::HttpResponse response;
  response.headers.set("x-amzn-RequestId", request.request_id);
  if (request.is_json) {
    response.headers.set("Content-Type", "application/x-amz-json-1.0");
    response.body = to_json(json::value(result));
    return response;
  }
  response.headers.set("Content-Type", "text/xml");
  const std::string& operation = request.operation;
  response.body =
      fmt::format("<?xml version=\"1.0\"?><{}Response xmlns=\"{}\">", operation, kNamespace);
  response.body += fmt::format("<{}Result>", operation);
  append_members(response.body, operation, result);
  response.body += fmt::format(
      "</{}Result><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{}Response>",
      operation,
      request.request_id,
      operation
  );
  return response;
}

std::string_view sqs_error_code(const Error& error) {
  const ErrorForm* form = form_of(error);
  return form == nullptr ? std::string_view("InternalFailure") : form->form;
}

net::HttpResponse sqs_error(const SqsRequest& request, const Error& error) {
  const ErrorForm* form = form_of(error);
  net::HttpResponse response;
  response.status = form == nullptr                       ? errc_info(error.code()).http_status
                    : error.code() == Errc::kAccessDenied ? std::uint16_t{403}
                                                          : std::uint16_t{400};
  response.headers.set("x-amzn-RequestId", request.request_id);
  const std::string_view code = sqs_error_code(error);
  if (request.is_json) {
    response.headers.set("Content-Type", "application/x-amz-json-1.0");
    response.headers.set("x-amzn-query-error", fmt::format("{};Sender", code));
    json::object body;
    body["__type"] =
        fmt::format("com.amazonaws.sqs#{}", form == nullptr ? "InternalFailure" : form->json);
    body["message"] = error.message();
    response.body = to_json(json::value(std::move(body)));
    return response;
  }
  response.headers.set("Content-Type", "text/xml");
  response.body = fmt::format(
      "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{}\"><Error><Type>Sender</Type><Code>{}</Code>"
      "<Message>",
      kNamespace,
      code
  );
  append_escaped(response.body, error.message());
  response.body += fmt::format(
      "</Message></Error><RequestId>{}</RequestId></ErrorResponse>", request.request_id
  );
  return response;
}

}  // namespace iotcore::server
