#pragma once

#include "base/function.h"
#include "base/result.h"
#include "broker/message.h"
#include "broker/publish_context.h"
#include "shadow/topics.h"

#include <cstddef>
#include <string>
#include <utility>

namespace iotcore::shadow {

// A request of the API: done when its answer is known and all that waits for it has been published as durably as it has to be.
class ApiCall final : public broker::PendingAck {
 public:
  using Done = Function<void(Result<std::string>)>;

  explicit ApiCall(Done done) : PendingAck(&ApiCall::on_complete), done_(std::move(done)) {}

  // Before the last hold goes.
  void set_answer(Result<std::string> answer) { answer_ = std::move(answer); }

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure) {
    auto& call = static_cast<ApiCall&>(self);
    if (failure && call.answer_) {
      call.answer_ = fail(Errc::kUnavailable, "Internal service failure");
    }
    call.done_(std::move(call.answer_));
    delete &call;
  }

  Done done_;
  Result<std::string> answer_ = fail(Errc::kUnavailable, "The request was dropped");
};

// One request on its way to the owner of the thing, whether it came by topic or from the API.
struct Request {
  // For as long as it waits.
  std::size_t bytes() const;

  broker::Message::Ref message;
  RequestTopicView topic;         // points into the message
  broker::PendingAck::Hold hold;  // of who waits for the answer's consequences; perhaps empty
  ApiCall* call = nullptr;        // lives as long as the hold; nullptr: the answer goes to topics
};

}  // namespace iotcore::shadow
