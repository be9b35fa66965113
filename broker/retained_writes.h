#pragma once

#include "broker/publish_context.h"

#include <string_view>

namespace iotcore::broker {

// Has the owner of the topic add its row, as memory holds it by then, to the commit of the owner's turn; `hold` is released when that is durable.
void write_retained(WorkerBroker& worker, std::string_view topic, PendingAck::Hold hold);

}  // namespace iotcore::broker
