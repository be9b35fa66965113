#include "shadow/document/request.h"

#include "base/bytes.h"
#include "shadow/document/tree.h"
#include "shadow/document/tree_parser.h"

#include <charconv>
#include <cstring>

namespace iotcore::shadow::document {
namespace {

const NodeView* find_member(const NodeView& object, std::string_view quoted_key) {
  for (const NodeView* member = object.first; member != nullptr; member = member->next) {
    if (member->key == quoted_key) {
      return member;
    }
  }
  return nullptr;
}

tl::unexpected<Error> refuse(std::string message) {
  return fail(Errc::kInvalidRequest, std::move(message));
}

// Absent is fine: an empty optional.
Result<ClientToken> read_client_token(const NodeView& root, const Limits& limits) {
  const NodeView* node = find_member(root, "\"clientToken\"");
  if (node == nullptr) {
    return ClientToken();
  }
  if (is_string(*node)) {
    std::string token = string_value(*node);
    if (token.size() <= limits.client_token_bytes_max) {
      return ClientToken(std::move(token));
    }
  }
  return refuse("Invalid clientToken");
}

Status check_section(const NodeView& section, const char* refusal) {
  if (section.kind != Kind::kObject && section.kind != Kind::kNull) {
    return refuse(refusal);
  }
  return {};
}

Status read_state(const NodeView& root, Tree& tree) {
  const NodeView* state = find_member(root, "\"state\"");
  if (state == nullptr) {
    return refuse("Missing required node: state");
  }
  if (state->kind == Kind::kNull) {
    tree.clears_all = true;
    return {};
  }
  if (state->kind != Kind::kObject) {
    return refuse("State node must be an object");
  }
  for (const NodeView* member = state->first; member != nullptr; member = member->next) {
    if (member->key == "\"desired\"") {
      tree.desired = member;
    } else if (member->key == "\"reported\"") {
      tree.reported = member;
    } else {
      NodeView name;
      name.text = member->key;
      return refuse("State contains an invalid node: '" + string_value(name) + "'");
    }
  }
  if (tree.desired != nullptr) {
    IOTCORE_TRY(check_section(*tree.desired, "Desired node must be an object"));
  }
  if (tree.reported != nullptr) {
    IOTCORE_TRY(check_section(*tree.reported, "Reported node must be an object"));
  }
  return {};
}

Result<std::optional<std::uint64_t>> read_version(const NodeView& root) {
  const NodeView* node = find_member(root, "\"version\"");
  if (node == nullptr) {
    return std::optional<std::uint64_t>();
  }
  std::uint64_t version = 0;
  const char* const end = node->text.data() + node->text.size();
  const auto [stop, error] = std::from_chars(node->text.data(), end, version);
  if (node->kind != Kind::kScalar || error != std::errc() || stop != end) {
    return refuse("Invalid version");
  }
  return std::optional<std::uint64_t>(version);
}

Result<Request> read_request(std::string_view payload, const Limits& limits, ClientToken& token) {
  if (payload.size() > limits.request_bytes_max) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  if (!is_valid_utf8(payload)) {
    return fail(
        Errc::kUnsupportedEncoding, "Unsupported documented encoding; supported encoding is UTF-8"
    );
  }
  auto tree = std::make_unique<Tree>();
  std::pmr::memory_resource& memory = tree->arena.memory();
  tree->text_bytes = payload.size();
  auto* text = static_cast<char*>(memory.allocate(payload.size() + 1, 1));
  std::memcpy(text, payload.data(), payload.size());
  ParsedView parsed;
  if (!parse_tree({text, payload.size()}, parsed, memory) || parsed.root.kind != Kind::kObject) {
    return fail(Errc::kMalformedJson, "Payload contains invalid json");
  }
  IOTCORE_ASSIGN(token, read_client_token(parsed.root, limits));
  IOTCORE_TRY(read_state(parsed.root, *tree));
  if (parsed.depth > limits.depth_max) {
    return refuse(
        "JSON contains too many levels of nesting; maximum is " + std::to_string(limits.depth_max)
    );
  }
  if (parsed.null_in_array) {
    return refuse("Invalid JSON");
  }
  IOTCORE_ASSIGN(const auto version, read_version(parsed.root));
  return Request(std::move(tree), token, version);
}

}  // namespace

Request::Request(
    std::unique_ptr<Tree> tree,
    ClientToken client_token,
    std::optional<std::uint64_t> expected_version
)
    : tree_(std::move(tree)),
      client_token_(std::move(client_token)),
      expected_version_(expected_version) {}

Request::Request(Request&& other) noexcept = default;
Request& Request::operator=(Request&& other) noexcept = default;
Request::~Request() = default;

ParsedUpdate parse_update(std::string_view payload, const Limits& limits) {
  ClientToken token;
  Result<Request> request = read_request(payload, limits, token);
  return {.request = std::move(request), .client_token = std::move(token)};
}

ClientToken client_token_of(std::string_view payload, const Limits& limits) {
  if (payload.empty() || payload.size() > limits.request_bytes_max || !is_valid_utf8(payload)) {
    return std::nullopt;
  }
  Arena<2048> arena;
  ParsedView parsed;
  if (!parse_tree(payload, parsed, arena.memory()) || parsed.root.kind != Kind::kObject) {
    return std::nullopt;
  }
  Result<ClientToken> token = read_client_token(parsed.root, limits);
  return token ? *std::move(token) : std::nullopt;
}

}  // namespace iotcore::shadow::document
