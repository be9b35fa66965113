#include "server/api_client.h"
#include "server/backup.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <cstdio>

namespace iotcore::server {

Status make_backup(const std::filesystem::path& data_dir, const std::string& name) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(data_dir));
  json::object body;
  if (!name.empty()) {
    body["backupName"] = name;
  }
  IOTCORE_ASSIGN(const json::value answer, api.call("POST", "/_iotcore/backups", &body));
  const json::value* backup =
      answer.is_object() ? find_member(answer.get_object(), "backup") : nullptr;
  const json::value* path = backup != nullptr && backup->is_object()
                                ? find_member(backup->get_object(), "path")
                                : nullptr;
  if (path == nullptr || !path->is_string()) {
    return fail(Errc::kInternal, "the server's answer has no path");
  }
  std::printf(
      "%s\nIt holds keys: keep it as you keep the data folder itself.\n", path->get_string().c_str()
  );
  return {};
}

Status restore(const std::filesystem::path& backup, const std::filesystem::path& data_dir) {
  IOTCORE_TRY(restore_backup(backup, data_dir));
  std::printf("%s is as it was backed up: start the server on it.\n", data_dir.c_str());
  return {};
}

}  // namespace iotcore::server
