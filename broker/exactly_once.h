#pragma once

#include "base/ids.h"
#include "broker/commit_mark.h"
#include "broker/publish_context.h"
#include "store/batch.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace iotcore::broker {

// A QoS 2 publish whose rows lie with several workers, or which others have to keep. All rows, and the packet identifier that the publisher may
// repeat, have to be written in one commit: if some were there after a crash and others not, sending it again would lose or double it. So the
// other workers hand their rows back to the publisher's worker, which commits them all.
//
// What others keep by themselves (a retained message, a shadow, a rule's outbox) is kept before that: once the identifier is written, the
// message is never taken again. After a crash in between they get it a second time.
//
// Those of one session are committed in their order: if a later one alone were there after a crash, the client would send the earlier one again,
// behind it.
//
// Of the publisher's worker only; its parts are filled by the workers that they are of.
class ExactlyOnce {
 public:
  struct Part {
    WorkerId worker{};
    store::Batch rows;
    std::vector<CommitMark> marks;
  };

  // One more part is to come.
  void expect() { ++missing_; }

  void add(Part part) { parts_.push_back(std::move(part)); }

  // A part that was expected is here; true if it was the last.
  bool arrived(Part part) {
    add(std::move(part));
    return --missing_ == 0;
  }

  std::vector<Part>& parts() { return parts_; }

  PendingAck::Hold publisher;
  std::optional<Errc> failure = {};        // what others could not keep
  const void* session = nullptr;           // the publisher's; only to be told from others
  std::shared_ptr<ExactlyOnce> next = {};  // of the same session: expects this one as a part

 private:
  std::vector<Part> parts_;
  std::size_t missing_ = 0;
};

}  // namespace iotcore::broker
