#include "rules/sql/withheld.h"

#include "base/crypto.h"

#include <optional>

namespace iotcore::rules::sql {
namespace {

constexpr std::size_t kMarkBytes = 16;
constexpr char kEnd = 'z';  // no digit of a hexadecimal number
constexpr std::string_view kHexDigits = "0123456789abcdef";

// What stands behind a mark: its kind, the text in hexadecimal digits and kEnd; how long that is.
struct Found {
  Withheld withheld;
  std::size_t size = 0;
};

std::optional<Found> read(std::string_view behind) {
  if (behind.empty()) {
    return std::nullopt;
  }
  const std::size_t end = behind.find_first_not_of(kHexDigits, 1);
  if (end == std::string_view::npos || behind[end] != kEnd) {
    return std::nullopt;
  }
  const auto kind = static_cast<Withheld::Kind>(behind[0]);
  std::optional<std::string> text = from_hex(behind.substr(1, end - 1));
  if (!text || (kind != Withheld::Kind::kExpression && kind != Withheld::Kind::kMember)) {
    return std::nullopt;
  }
  return Found{{kind, *std::move(text)}, end + 1};
}

Result<std::string> replace_each(
    std::string_view text,
    std::string_view mark,
    std::string_view behind,
    const std::function<Result<std::string>(const Withheld&)>& value
) {
  std::string out;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = mark.empty() ? std::string_view::npos : text.find(mark, at);
    if (begin == std::string_view::npos) {
      return out.append(text.substr(at));
    }
    out.append(text.substr(at, begin - at));
    at = begin + mark.size();
    const std::optional<Found> found = read(text.substr(at));
    if (!found || !text.substr(at + found->size).starts_with(behind)) {
      return fail(Errc::kInvalidRequest, "what stands for a secret has been changed by the rule");
    }
    IOTCORE_ASSIGN(const std::string shown, value(found->withheld));
    out += shown;
    at += found->size + behind.size();
  }
}

}  // namespace

std::string part_of_member(std::string_view member, std::size_t number) {
  return std::string(member) + "#" + std::to_string(number);
}

std::string new_withheld_mark() {
  return "withheld" + to_hex(random_bytes(kMarkBytes));
}

void append_withheld(std::string& out, std::string_view mark, const Withheld& withheld) {
  out += mark;
  out += static_cast<char>(withheld.kind);  // no digit: the mark ends here
  out += to_hex(withheld.text);
  out += kEnd;
}

Result<std::string> replace_withheld(
    std::string_view text,
    std::string_view mark,
    const std::function<Result<std::string>(const Withheld&)>& value
) {
  return replace_each(text, mark, "", value);
}

Result<std::string> replace_withheld_strings(
    std::string_view json,
    std::string_view mark,
    const std::function<Result<std::string>(const Withheld&)>& value
) {
  return mark.empty() ? std::string(json)
                      : replace_each(json, '"' + std::string(mark), "\"", value);
}

std::string show_withheld(std::string_view text, std::string_view mark) {
  const Result<std::string> shown = replace_withheld(text, mark, [](const Withheld& withheld) {
    return Result<std::string>(
        withheld.kind == Withheld::Kind::kMember ? "(" + withheld.text + " of the rule)"
                                                 : "${" + withheld.text + "}"
    );
  });
  return shown ? *shown : std::string("(withheld)");
}

}  // namespace iotcore::rules::sql
