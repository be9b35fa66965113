#pragma once

#include "broker/publish_context.h"
#include "proto/record/rules.pb.h"
#include "rules/sql/message_view.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules {

// What rules may ask about one message, made of a publish or of a stored message. Points into what it was made of.
class MessageSource {
 public:
  void read(
      std::string_view topic,
      const broker::Publisher& publisher,
      const broker::PublishView& publish,
      std::string_view trace_id,
      std::string_view account,
      std::int64_t timestamp_ms
  );
  void read(const record::OutboxMessage& message, std::string_view account);

  const sql::MessageView& view() const { return view_; }

 private:
  void read_properties(std::string_view encoded);

  sql::MessageView view_;
  std::string property_block_;
  std::vector<std::pair<std::string_view, std::string_view>> user_properties_;
};

// For an errorAction that may come later.
record::OutboxMessage keep_message(
    const sql::MessageView& view,
    std::string_view payload,
    std::string_view properties,
    std::uint8_t hops
);

}  // namespace iotcore::rules
