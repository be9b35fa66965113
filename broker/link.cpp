#include "broker/link.h"

namespace iotcore::broker {

std::string_view disconnect_reason_of(CloseReason reason) {
  switch (reason) {
    case CloseReason::kClientDisconnect:
      return "CLIENT_INITIATED_DISCONNECT";
    case CloseReason::kClientError:
    case CloseReason::kConnectTimeout:
      return "CLIENT_ERROR";
    case CloseReason::kConnectionLost:
      return "CONNECTION_LOST";
    case CloseReason::kDuplicateClientId:
      return "DUPLICATE_CLIENTID";
    case CloseReason::kAuthError:
      return "AUTH_ERROR";
    case CloseReason::kForbidden:
      return "FORBIDDEN_ACCESS";
    case CloseReason::kKeepAliveTimeout:
      return "MQTT_KEEP_ALIVE_TIMEOUT";
    case CloseReason::kServerError:
      return "SERVER_ERROR";
    case CloseReason::kServerShutdown:
      return "SERVER_INITIATED_DISCONNECT";
    case CloseReason::kApiRequest:
      return "API_INITIATED_DISCONNECT";
    case CloseReason::kThrottled:
    case CloseReason::kSlowReceiver:
      return "THROTTLED";
    case CloseReason::kWebsocketTtl:
      return "WEBSOCKET_TTL_EXPIRATION";
    case CloseReason::kCustomAuthTtl:
      return "CUSTOMAUTH_TTL_EXPIRATION";
  }
  return "SERVER_ERROR";
}

}  // namespace iotcore::broker
