#pragma once

#include "base/result.h"
#include "shadow/document/limits.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::shadow::document {

struct Tree;

// What a client sent to recognise its own answers; every answer to its request carries it.
using ClientToken = std::optional<std::string>;

// A well-formed update. Owns what it holds; may be applied any number of times.
class Request {
 public:
  Request(
      std::unique_ptr<Tree> tree,
      ClientToken client_token,
      std::optional<std::uint64_t> expected_version
  );
  Request(Request&& other) noexcept;
  Request& operator=(Request&& other) noexcept;
  ~Request();

  const ClientToken& client_token() const { return client_token_; }

  // The version that the sender believes to be the current one.
  std::optional<std::uint64_t> expected_version() const { return expected_version_; }

  const Tree& tree() const { return *tree_; }

 private:
  std::unique_ptr<Tree> tree_;
  ClientToken client_token_;
  std::optional<std::uint64_t> expected_version_;
};

struct ParsedUpdate {
  Result<Request> request;
  // For the refusal, too: it is known as soon as the payload is an object that holds a proper one.
  ClientToken client_token;
};

// Every check that does not need the current document, in AWS's words: kInvalidRequest,
// kMalformedJson, kUnsupportedEncoding, kTooLarge.
ParsedUpdate parse_update(std::string_view payload, const Limits& limits = {});

// The token of a get or delete request, whose payload may otherwise be anything.
ClientToken client_token_of(std::string_view payload, const Limits& limits = {});

}  // namespace iotcore::shadow::document
