#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// s3(bucketName*, key*, cannedAcl): one object a message; one of that key is replaced. Built in: the file objects/<bucket>/<key>.
struct S3 {
  static constexpr std::string_view kName = "s3";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

enum S3Field : std::size_t { kBucket, kObjectKey, kCannedAcl, kS3FieldCount };

}  // namespace iotcore::rules::actions
