#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::net {

// ASCII only, as RFC 9110 5.1 wants it for field names.
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Header fields in the order and spelling of the wire; a name may occur more than once.
class HttpHeaders {
 public:
  using Field = std::pair<std::string, std::string>;

  HttpHeaders() = default;

  HttpHeaders(std::initializer_list<Field> fields) : fields_(fields) {}

  // The first value of that name in any case, or nullptr.
  const std::string* find(std::string_view name) const;
  void add(std::string name, std::string value);
  // Replaces every field of that name by one.
  void set(std::string name, std::string value);

  std::size_t size() const { return fields_.size(); }

  auto begin() const { return fields_.begin(); }

  auto end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

// One request, whole. The target is in origin form exactly as received: neither decoded nor
// normalised, query included, since signatures are computed over it and labels may hold encoded
// slashes.
struct HttpRequest {
  std::string method;
  std::string target;
  HttpHeaders headers;
  std::string body;
};

// One response, whole. Content-Length, Date and Connection are the writer's business.
struct HttpResponse {
  std::uint16_t status = 200;
  HttpHeaders headers;
  std::string body;
};

// The two parts of a request target, both raw. Points into the target.
struct TargetView {
  std::string_view path;
  std::string_view query;  // without '?'
};

TargetView split_target(std::string_view target);

// Percent-decoding as in paths: '+' stays. Nothing on a malformed escape.
std::optional<std::string> percent_decode(std::string_view text);
// Everything but A-Za-z0-9-._~ becomes %XX, upper case (RFC 3986 2.3, and SigV4).
std::string percent_encode(std::string_view text);

struct QueryParameter {
  std::string name;
  std::string value;
};

// Names and values decoded, in the order of the wire; '+' is a space there; a name without value
// has the empty one. Nothing on a malformed escape.
std::optional<std::vector<QueryParameter>> parse_query(std::string_view query);

}  // namespace iotcore::net
