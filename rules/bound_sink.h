#pragma once

#include "rules/sink.h"
#include "rules/targets.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::rules {

// The sink of actions whose names have ${…} in them (target "*"): what a record's name is bound to is looked up when it is delivered. Each binding has a
// sink of its own, made when it is first needed, and made anew when its target has changed.
class BoundSink final : public Sink {
 public:
  // What the kind's binding goes by, of the record's fields.
  using NameOf = std::string_view (*)(const Record& record);
  // make_sink() of the kind: "" or the name of a target.
  using Make = Result<std::unique_ptr<Sink>> (*)(
      std::string_view target, const SinkEnvironment& environment
  );

  BoundSink(std::string_view kind, NameOf name_of, Make make, SinkEnvironment environment)
      : kind_(kind), name_of_(name_of), make_(make), environment_(std::move(environment)) {}

  // In order within each binding; one that fails does not keep others back.
  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  // Well if any of them is: the others' records wait by themselves.
  Status probe() override;

 private:
  struct Inner {
    TargetRef target;  // nullptr: the built-in one
    std::unique_ptr<Sink> sink;
  };

  Result<Sink*> sink_of(const TargetRef& target);

  const std::string_view kind_;  // of a literal
  const NameOf name_of_;
  const Make make_;
  const SinkEnvironment environment_;
  std::map<std::string, Inner, std::less<>> sinks_;  // by the target's name
};

}  // namespace iotcore::rules
