#pragma once

#include "base/json.h"
#include "base/result.h"
#include "net/http_message.h"

#include <string>
#include <string_view>

// How SQS's calls travel: as JSON, or as a form that is answered in XML.
namespace iotcore::server {

struct SqsRequest {
  bool is_json = true;
  std::string operation;
  json::object
      parameters;  // of a form: texts, and lists of texts or objects by the names of their elements
  std::string request_id;
};

// By its header X-Amz-Target, or a form with an Action at the path of a queue.
bool is_sqs_request(const net::HttpRequest& request);
Result<SqsRequest> parse_sqs_request(const net::HttpRequest& request);

// A list that the two protocols name differently.
json::array sqs_list(const SqsRequest& request, std::string_view name, std::string_view form_name);

net::HttpResponse sqs_response(const SqsRequest& request, const json::object& result);
net::HttpResponse sqs_error(const SqsRequest& request, const Error& error);
// As SQS's SDKs know it.
std::string_view sqs_error_code(const Error& error);

}  // namespace iotcore::server
