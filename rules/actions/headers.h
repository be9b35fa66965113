#pragma once

#include "rules/action.h"
#include "rules/member_reader.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules::actions {

// Headers of messages: {'name': '${…}', …} or [{key, value}, …].
class HeaderTemplates {
 public:
  static HeaderTemplates read(MemberReader& members, std::string_view name);

  // Names and values by turns behind what is in `fields`.
  Status resolve(const ActionInput& input, Action::Fields& fields) const;

 private:
  std::vector<std::pair<std::string, sql::Template>> headers_;
};

// What resolve() has put into fields from `first` on.
std::vector<std::pair<std::string, std::string>> headers_of(
    const Action::Fields& fields, std::size_t first
);

}  // namespace iotcore::rules::actions
