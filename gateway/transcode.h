#pragma once

#include "base/result.h"
#include "gateway/operation_table.h"
#include "net/http_message.h"

#include <memory>
#include <string_view>

namespace google::protobuf {
class Message;
}

// HTTP <-> protobuf in AWS's rest-json form, by what proto/options.proto says of each member. Pure;
// any thread.
namespace iotcore::gateway {

// The request as the operation's request message, checked against all bounds. Takes the body out of
// `request` where it is the payload. Errors are kInvalidRequest or kMalformedJson, worded as AWS
// words them.
Result<std::unique_ptr<google::protobuf::Message>> decode(
    net::HttpRequest& request, const RouteMatchView& match
);

// The same with what could be read of a request that is wrong, so that its caller can be asked for his rights before he is told what is wrong.
struct Decoded {
  std::unique_ptr<google::protobuf::Message> message;  // never null
  Status status;
};

Decoded decode_what_can_be(net::HttpRequest& request, const RouteMatchView& match);

// The reply of the operation.
net::HttpResponse encode(const Operation& operation, const google::protobuf::Message& response);

// `operation` may be nullptr (no such operation): then the form is that of `plane`.
net::HttpResponse error_response(
    const Error& error, const Operation* operation, api::Plane plane, std::string_view request_id
);

}  // namespace iotcore::gateway
