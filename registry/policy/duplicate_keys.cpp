#include "registry/policy/duplicate_keys.h"

#include <boost/json/basic_parser_impl.hpp>

#include <set>
#include <vector>

namespace iotcore::registry::policy {
namespace {

// Receives the events of Boost.JSON's parser. Its names, results and parameters are given; false
// ends the parsing.
class KeyWatcher {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using Code = boost::json::error_code;
  using Text = boost::json::string_view;

  explicit KeyWatcher(std::optional<std::string>& duplicate) : duplicate_(duplicate) {}

  bool on_document_begin(Code& /*code*/) { return true; }

  bool on_document_end(Code& /*code*/) { return true; }

  bool on_object_begin(Code& /*code*/) {
    keys_.emplace_back();
    return true;
  }

  bool on_object_end(std::size_t /*n*/, Code& /*code*/) {
    keys_.pop_back();
    return true;
  }

  bool on_array_begin(Code& /*code*/) { return true; }

  bool on_array_end(std::size_t /*n*/, Code& /*code*/) { return true; }

  bool on_key_part(Text s, std::size_t /*n*/, Code& /*code*/) {
    key_.append(s.data(), s.size());
    return true;
  }

  bool on_key(Text s, std::size_t /*n*/, Code& code) {
    key_.append(s.data(), s.size());
    if (!keys_.back().insert(key_).second) {
      duplicate_ = key_;
      code = boost::json::error::extra_data;  // any: it only has to end here
      return false;
    }
    key_.clear();
    return true;
  }

  bool on_string_part(Text /*s*/, std::size_t /*n*/, Code& /*code*/) { return true; }

  bool on_string(Text /*s*/, std::size_t /*n*/, Code& /*code*/) { return true; }

  bool on_number_part(Text /*s*/, Code& /*code*/) { return true; }

  bool on_int64(std::int64_t /*i*/, Text /*s*/, Code& /*code*/) { return true; }

  bool on_uint64(std::uint64_t /*u*/, Text /*s*/, Code& /*code*/) { return true; }

  bool on_double(double /*d*/, Text /*s*/, Code& /*code*/) { return true; }

  bool on_bool(bool /*b*/, Code& /*code*/) { return true; }

  bool on_null(Code& /*code*/) { return true; }

  bool on_comment_part(Text /*s*/, Code& /*code*/) { return true; }

  bool on_comment(Text /*s*/, Code& /*code*/) { return true; }

 private:
  std::optional<std::string>& duplicate_;
  std::vector<std::set<std::string>> keys_;
  std::string key_;
};

}  // namespace

std::optional<std::string> find_duplicate_key(std::string_view text) {
  std::optional<std::string> duplicate;
  boost::json::basic_parser<KeyWatcher> parser(boost::json::parse_options(), duplicate);
  boost::json::error_code error;
  parser.write_some(false, text.data(), text.size(), error);
  return duplicate;
}

}  // namespace iotcore::registry::policy
