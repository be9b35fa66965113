#pragma once

#include "gateway/operations.h"

namespace iotcore::server {

class Backups;

// `backups` outlives the registry's use.
void register_backup_operations(gateway::OperationRegistry& operations, Backups& backups);

}  // namespace iotcore::server
