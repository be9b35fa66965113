#include "tests/conformance/match.h"

#include "tests/conformance/properties.h"

#include <algorithm>
#include <charconv>

namespace iotcore::conformance {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_one(const std::string& value, const std::string& wanted) {
  const std::size_t dots = wanted.find("..");
  if (dots != std::string::npos && is_number(wanted.substr(0, dots)) && is_number(value)) {
    return number_of(value) >= number_of(wanted.substr(0, dots)) &&
           number_of(value) <= number_of(wanted.substr(dots + 2));
  }
  return value == wanted;
}

bool is_as_wanted(const std::string& value, const Field& wanted) {
  if (!wanted.literal) {
    return value == wanted.value;
  }
  if (wanted.value == "*" || wanted.value.starts_with('%')) {
    return true;
  }
  std::size_t begin = 0;
  while (begin <= wanted.value.size()) {
    const std::size_t end = std::min(wanted.value.find('|', begin), wanted.value.size());
    if (is_one(value, wanted.value.substr(begin, end - begin))) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

std::vector<std::string> all_of(const Fields& fields, const std::string& key) {
  std::vector<std::string> values;
  for (const Field& field : fields) {
    if (field.key == key) {
      values.push_back(field.value);
    }
  }
  return values;
}

std::string compare_repeated(const Packet& got, const std::string& key, const Fields& wanted) {
  std::vector<std::string> have = all_of(got.fields, key);
  std::vector<std::string> want = all_of(wanted, key);
  if (key == "sub-id") {
    std::sort(have.begin(), have.end());
    std::sort(want.begin(), want.end());
  }
  return have == want ? std::string() : key + " is not as expected";
}

// What a packet has when the expectation does not say.
Fields with_defaults(const std::string& type, Fields wanted) {
  const auto add = [&](const char* key, const char* value) {
    if (find_field(wanted, key) == nullptr) {
      wanted.push_back({key, value, true});
    }
  };
  if (type == "publish") {
    add("qos", "0");
    add("retain", "0");
    add("dup", "0");
  } else if (type == "connack" || type == "pubrel" || type == "pubcomp") {
    add("reason", "00");
  } else if (type == "puback" || type == "pubrec") {
    add("reason", "00|10");
  }
  return wanted;
}

// A PUBLISH has no property that was not expected.
std::string surplus(const Packet& got, const Fields& wanted) {
  for (const Field& field : got.fields) {
    if (find_property(field.key) != nullptr && find_field(wanted, field.key) == nullptr) {
      return "a property that was not expected: " + field.key;
    }
  }
  return {};
}

}  // namespace

std::string mismatch(const Packet& got, const std::string& type, const Fields& wanted) {
  if (got.type != type) {
    return "expected " + type;
  }
  for (const Field& field : with_defaults(type, wanted)) {
    if (field.key == "user" || field.key == "sub-id") {
      if (std::string why = compare_repeated(got, field.key, wanted); !why.empty()) {
        return why;
      }
      continue;
    }
    const bool absent = field.key.starts_with('!');
    const std::string key = absent ? field.key.substr(1) : field.key;
    const Field* const found = find_field(got.fields, key);
    if (absent ? found != nullptr : found == nullptr) {
      // UNSUBACK of 3.1.1 has no codes.
      if (type == "unsuback" && key == "codes") {
        continue;
      }
      return absent ? key + " should not be there" : "no " + key;
    }
    if (found != nullptr && !absent && !is_as_wanted(found->value, field)) {
      return "expected " + key + '=' + printable(field.value);
    }
  }
  return type == "publish" ? surplus(got, wanted) : std::string();
}

}  // namespace iotcore::conformance
