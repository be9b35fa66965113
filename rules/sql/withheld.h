#pragma once

#include "base/result.h"

#include <functional>
#include <string>
#include <string_view>

// What stands in a text instead of a secret until it is delivered: a mark that nobody can foresee, which begins every one of an evaluation's, and what is meant:
//
//   an expression   AWS IoT SQL in which everything but get_secret() has been computed: "concat('Bearer ', get_secret('s', 'SecretString', 'r'))"
//   a member        something that the rule says literally, by the member's name
//
// It is letters and digits, so that it passes through JSON and the checks of names.
namespace iotcore::rules::sql {

struct Withheld {
  enum class Kind : char { kExpression = 'x', kMember = 'm' };

  Kind kind = Kind::kExpression;
  std::string text;
};

// What a template says literally before its ${…} of that number, of a member that has some.
std::string part_of_member(std::string_view member, std::size_t number);
// 128 bits of randomness: what a message says is never taken for one.
std::string new_withheld_mark();
void append_withheld(std::string& out, std::string_view mark, const Withheld& withheld);
Result<std::string> replace_withheld(
    std::string_view text,
    std::string_view mark,
    const std::function<Result<std::string>(const Withheld&)>& value
);
// The same for those that are a whole JSON string, with its quotes.
Result<std::string> replace_withheld_strings(
    std::string_view json,
    std::string_view mark,
    const std::function<Result<std::string>(const Withheld&)>& value
);
// For people: "${get_secret(…)}", or the name of the rule's member. An empty mark: nothing was withheld.
std::string show_withheld(std::string_view text, std::string_view mark);

}  // namespace iotcore::rules::sql
