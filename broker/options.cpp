#include "broker/options.h"

namespace iotcore::broker {

BrokerOptions strict_options() {
  BrokerOptions options;
  options.packet_bytes_max = 149'504;
  options.payload_bytes_max = 128U << 10;
  options.client_id_bytes_max = 128;
  options.topic_bytes_max = 256;
  options.topic_levels_max = 8;
  options.content_type_bytes_max = 256;
  options.correlation_data_bytes_max = 8U << 10;
  options.user_properties_bytes_max = 8U << 10;
  options.message_expiry_s_max = 604'800;
  options.client_packet_bytes_min = 512;
  options.topic_alias_maximum = 8;
  options.topic_alias_out_maximum = 0;
  options.subscription_identifiers = false;
  options.hash_matches_parent = false;
  options.answer_refused = false;
  options.keep_alive_s_min = 30;
  options.keep_alive_s_max = 1200;
  options.filters_per_subscribe_max = 8;
  options.subscriptions_per_client_max = 50;
  options.share_strategy = ShareStrategy::kRoundRobin;
  options.share_groups_max = 100;
  options.share_members_max = 100;
  options.qos_max = 1;
  options.session_expiry_s = 3600;
  options.receive_maximum = 100;
  options.inflight_max = 100;
  options.publishes_per_s_max = 100;
  options.publish_bytes_per_s_max = 512U << 10;
  options.over_rate = OverRate::kDrop;
  options.connects_per_s_max = 3000;
  options.connects_per_s_of_client_max = 1;
  options.stored_messages_per_s_max = 10;
  options.retained_per_s_max = 500;
  options.retained_interval_ms = 1000;
  options.retained_messages_max = 500'000;
  options.retained_payload_bytes_max = 128U << 10;
  options.retained_to_wildcards = false;
  return options;
}

}  // namespace iotcore::broker
