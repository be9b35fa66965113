// Any bytes as an HTTP request: routing, decoding and signature parsing neither crash nor accept what they cannot give back.
#include "gateway/transcode.h"
#include "net/http_message.h"
#include "net/sigv4.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace iotcore {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// A field name that an HTTP parser lets through, letters, digits and dashes being enough here.
bool is_field_name(std::string_view name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
         ) == std::string_view::npos;
}

// "METHOD target", then "name:value" lines, an empty line, the body.
net::HttpRequest parse(std::string_view text) {
  net::HttpRequest request;
  const std::string_view first = take_line(text);
  const std::size_t space = first.find(' ');
  request.method = first.substr(0, space);
  request.target = space == std::string_view::npos ? "" : first.substr(space + 1);
  for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && is_field_name(line.substr(0, colon))) {
      request.headers.add(std::string(line.substr(0, colon)), std::string(line.substr(colon + 1)));
    }
  }
  request.body = text;
  return request;
}

void check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace
}  // namespace iotcore

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iotcore;
  static const auto table = gateway::OperationTable::of_api();
  check(table.has_value());
  net::HttpRequest request = parse({reinterpret_cast<const char*>(data), size});

  const auto claim = net::parse_sigv4(request);
  if (claim && *claim) {
    // Nobody finds a signature by chance, nor by looking at ours.
    check(!net::verify_sigv4(request, **claim, "secret", (*claim)->signed_at));
  }
  net::HttpRequest signed_request{request.method, request.target, request.headers, request.body};
  signed_request.headers.set("Host", "h");
  net::sign(signed_request, {"AKID", "secret", ""}, {"r", "iot"}, from_epoch_ms(1'768'478'400'000));
  const auto own_claim = net::parse_sigv4(signed_request);
  check(own_claim && *own_claim);

  for (const std::string_view service : {"iot", "iotdata"}) {
    const auto match =
        (*table)->route(request.method, net::split_target(request.target).path, {service});
    // Of what AWS has and this server does not, nothing is decoded.
    if (!match || match->operation->request == nullptr) {
      continue;
    }
    net::HttpRequest copy = request;
    if (const auto message = gateway::decode(copy, *match)) {
      gateway::Operation mirrored = *match->operation;
      mirrored.response = mirrored.request;
      check(!gateway::encode(mirrored, **message).headers.find("x-amzn-ErrorType"));
    } else {
      check(message.error().message().size() < 16384);
    }
  }
  return 0;
}
