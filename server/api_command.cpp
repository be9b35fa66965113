#include "gateway/api_page.h"
#include "gateway/operation_table.h"
#include "rules/sql_page.h"
#include "server/commands.h"

#include <cstdio>

namespace iotcore::server {

Status print_api() {
  IOTCORE_ASSIGN(const auto table, gateway::OperationTable::of_api());
  std::fputs(gateway::api_page(*table).c_str(), stdout);
  return {};
}

Status print_functions() {
  IOTCORE_ASSIGN(const std::string page, rules::sql_page());
  std::fputs(page.c_str(), stdout);
  return {};
}

}  // namespace iotcore::server
