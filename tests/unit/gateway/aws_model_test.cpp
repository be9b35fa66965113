// The .proto files agree with the table of AWS's operations in tests/data.
#include "gateway/aws_operations.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace iotcore::gateway {
namespace {

using Place = MemberPlan::Place;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    out.push_back(part);
  }
  return out;
}

std::set<std::string> set_of(const std::string& list) {
  if (list == "-") {
    return {};
  }
  const auto parts = split(list, ',');
  return {parts.begin(), parts.end()};
}

// A member in the table's notation: name, name@uri, name@query=WIRE, ...
std::string notation(const MemberPlan& member) {
  const std::string renamed = member.wire_name == member.name ? "" : '=' + member.wire_name;
  switch (member.place) {
    case Place::kPath:
      return member.name + "@uri" + renamed;
    case Place::kQuery:
      return member.name + "@query" + renamed;
    case Place::kHeader:
      return member.name + "@header" + renamed;
    case Place::kPayload:
      return member.name + "@payload";
    case Place::kStatus:
      return member.name + "@status";
    default:
      return member.name;
  }
}

std::string uri_of(const Operation& operation, const std::string& modelled) {
  // We let topics have bare slashes where AWS's model does not say so; and a trailing slash does
  // not count.
  std::string uri = operation.path;
  if (modelled.find("+}") == std::string::npos) {
    std::erase(uri, '+');
  }
  return uri;
}

struct Columns {
  enum : std::size_t {
    kService,
    kName,
    kArea,
    kMethod,
    kUri,
    kSuccess,
    kRequired,
    kErrors,
    kTier,
    kSince,
    kOptional,
    kResponse
  };
};

// Areas of which every operation is described, whatever its tier.
const std::set<std::string> kWholeAreas = {
    "things",
    "thing-types",
    "thing-groups",
    "dynamic-groups",
    "billing-groups",
    "tags",
    "events",
    "logging",
};

TEST_CASE("operations agree with AWS's model") {
  std::ifstream file(IOTCORE_SOURCE_DIR "/tests/data/aws-api.tsv");
  REQUIRE(file);
  std::string line;
  std::getline(file, line);
  std::set<const Operation*> seen;
  while (std::getline(file, line)) {
    const auto row = split(line, '\t');
    REQUIRE(row.size() == 12);
    INFO(row[Columns::kService] << " " << row[Columns::kName]);
    const api::Plane plane = row[Columns::kService] == "iot"        ? api::IOT
                             : row[Columns::kService] == "iot-data" ? api::IOT_DATA
                                                                    : api::IOT_JOBS_DATA;
    const Operation* operation = api_table().find(plane, row[Columns::kName]);
    if (operation == nullptr) {
      CHECK(row[Columns::kTier] != "1");
      CHECK(kWholeAreas.count(row[Columns::kArea]) == 0);
      continue;
    }
    seen.insert(operation);
    CHECK(operation->method == row[Columns::kMethod]);
    std::string uri = row[Columns::kUri];
    if (uri.ends_with('/')) {
      uri.pop_back();
    }
    CHECK(uri_of(*operation, uri) == uri);
    std::set<std::string> required;
    std::set<std::string> optional;
    for (const MemberPlan& member : operation->request->members) {
      if (!member.unmodelled) {
        (member.required ? required : optional).insert(notation(member));
      }
    }
    CHECK(required == set_of(row[Columns::kRequired]));
    CHECK(optional == set_of(row[Columns::kOptional]));
    std::set<std::string> response;
    for (const MemberPlan& member : operation->response->members) {
      if (!member.unmodelled) {
        response.insert(notation(member));
      }
    }
    CHECK(response == set_of(row[Columns::kResponse]));
    CHECK(
        std::set<std::string>(operation->errors.begin(), operation->errors.end()) ==
        set_of(row[Columns::kErrors])
    );
  }
  for (const auto& operation : api_table().operations()) {
    INFO(operation->name);
    CHECK((seen.count(operation.get()) == 1) != operation->unmodelled);
  }
}

TEST_CASE("every operation of AWS's model is known, described or not") {
  std::ifstream file(IOTCORE_SOURCE_DIR "/tests/data/aws-api.tsv");
  REQUIRE(file);
  std::string line;
  std::getline(file, line);
  std::size_t count = 0;
  while (std::getline(file, line)) {
    const auto row = split(line, '\t');
    REQUIRE(count < aws_operations().size());
    const AwsOperation& known = aws_operations()[count++];
    INFO(row[Columns::kName]);
    CHECK(known.name == row[Columns::kName]);
    CHECK(known.method == row[Columns::kMethod]);
    const std::string& uri = row[Columns::kUri];
    CHECK(known.path == (uri.ends_with('/') ? uri.substr(0, uri.size() - 1) : uri));
    const RouteScope scope{
        .signing_service = known.plane == api::IOT        ? "iot"
                           : known.plane == api::IOT_DATA ? "iotdata"
                                                          : "iot-jobs-data"};
    const auto match = api_table().route(known.method, known.path, scope);
    REQUIRE(match);
    CHECK(match->operation->name == known.name);
  }
  CHECK(count == aws_operations().size());
}

}  // namespace
}  // namespace iotcore::gateway
