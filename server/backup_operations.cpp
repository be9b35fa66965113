#include "server/backup_operations.h"

#include "proto/api/backups.pb.h"
#include "server/backup.h"

namespace iotcore::server {
namespace {

void describe(api::Backup& out, const Backup& backup) {
  out.set_backup_name(backup.name);
  out.set_path(backup.path.native());
  out.set_create_date(backup.created_ms);
  out.set_bytes(static_cast<std::int64_t>(backup.bytes));
}

}  // namespace

void register_backup_operations(gateway::OperationRegistry& operations, Backups& backups) {
  using gateway::CallContext;
  operations.add<api::CreateBackupRequest, api::CreateBackupResponse>(
      "CreateBackup",
      [&backups](
          const CallContext&, const api::CreateBackupRequest& request
      ) -> Result<api::CreateBackupResponse> {
        std::optional<std::string> name;
        if (request.has_backup_name()) {
          name = request.backup_name();
        }
        IOTCORE_ASSIGN(const Backup made, backups.create(name));
        api::CreateBackupResponse response;
        describe(*response.mutable_backup(), made);
        return response;
      }
  );
  operations.add<api::ListBackupsRequest, api::ListBackupsResponse>(
      "ListBackups",
      [&backups](const CallContext&, const api::ListBackupsRequest&)
          -> Result<api::ListBackupsResponse> {
        IOTCORE_ASSIGN(const std::vector<Backup> all, backups.list());
        api::ListBackupsResponse response;
        for (const Backup& backup : all) {
          describe(*response.add_backups(), backup);
        }
        return response;
      }
  );
  operations.add<api::DeleteBackupRequest, api::DeleteBackupResponse>(
      "DeleteBackup",
      [&backups](
          const CallContext&, const api::DeleteBackupRequest& request
      ) -> Result<api::DeleteBackupResponse> {
        IOTCORE_TRY(backups.remove(request.backup_name()));
        return api::DeleteBackupResponse();
      }
  );
}

}  // namespace iotcore::server
