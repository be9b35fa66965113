#include "net/session_cache.h"

#include <catch2/catch.hpp>

using iotcore::net::without_peer;

TEST_CASE("A session loses its certificate and nothing else") {
  const std::string before = "\x02\x01\x01";
  const std::string peer = "\xA3\x05\x30\x03\x02\x01\x07";
  const std::string after = "\xA4\x03\x04\x01x";
  const std::string whole(200, 'w');
  const auto sequence = [](const std::string& inside) {
    std::string out = "\x30";
    if (inside.size() >= 256) {
      out += '\x82';
      out += static_cast<char>(inside.size() >> 8);
    } else if (inside.size() >= 128) {
      out += '\x81';
    }
    return out + static_cast<char>(inside.size()) + inside;
  };
  CHECK(without_peer(sequence(before + peer + after)) == sequence(before + after));
  CHECK(without_peer(sequence(before + after)) == sequence(before + after));
  const std::string large = "\x04\x81\xC8" + whole;
  CHECK(without_peer(sequence(large + peer)) == sequence(large));
  CHECK(without_peer(sequence(large + large + peer)) == sequence(large + large));
}

TEST_CASE("What is no encoded session stays as it is") {
  for (const std::string text : {"", "\x30", "\x30\x05x", "\x31\x01x", "\x30\x03\x02\x05x", "x"}) {
    CHECK(without_peer(text) == text);
  }
}
