#include "net/proxy_header.h"

#include "net/address_range.h"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

using namespace iotcore;
using namespace iotcore::net;
using namespace std::string_literals;

namespace {

const std::string kSignature = "\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A"s;

std::string header(char command, char family, const std::string& rest) {
  return kSignature + command + family + static_cast<char>(rest.size() >> 8) +
         static_cast<char>(rest.size()) + rest;
}

// As much of an addition that says nothing, its own three bytes included.
std::string padding(std::size_t bytes) {
  const std::size_t length = bytes - 3;
  return std::string(1, '\x04') + static_cast<char>(length >> 8) + static_cast<char>(length) +
         std::string(length, 'p');
}

const std::string kTcp4 = "\xC0\x00\x02\x07\x0A\x00\x00\x01\x1F\x90\x20\xFB"s;

// Byte by byte, so that nothing hangs on where a header is cut; what follows it has to stay.
std::optional<PeerAddress> source_of(const std::string& bytes) {
  ProxyHeaderDecoder decoder;
  for (const char c : bytes) {
    REQUIRE(decoder.wanted() > 0);
    REQUIRE(decoder.put({&c, 1}));
  }
  CHECK(decoder.wanted() == 0);
  ProxyHeaderDecoder at_once;
  std::string left = bytes + "next";
  while (at_once.wanted() > 0) {
    const std::size_t n = at_once.wanted();
    REQUIRE(at_once.put(std::string_view(left).substr(0, n)));
    left.erase(0, n);
  }
  CHECK(left == "next");
  return decoder.source();
}

bool refused(const std::string& bytes) {
  ProxyHeaderDecoder decoder;
  for (std::string_view left = bytes; !left.empty() && decoder.wanted() > 0;) {
    const std::size_t n = std::min(left.size(), decoder.wanted());
    if (!decoder.put(left.substr(0, n))) {
      return true;
    }
    left.remove_prefix(n);
  }
  return false;
}

}  // namespace

TEST_CASE("A proxy says whose connection it passes on") {
  const auto v4 = source_of(header('\x21', '\x11', kTcp4));
  REQUIRE(v4);
  CHECK(v4->ip == "192.0.2.7");
  CHECK(v4->port == 8080);
  const std::string six = "\x20\x01\x0D\xB8"s + std::string(11, '\0') + "\x09"s +
                          std::string(16, '\x01') + "\x1F\x90\x20\xFB"s;
  const auto v6 = source_of(header('\x21', '\x21', six));
  REQUIRE(v6);
  CHECK(v6->ip == "2001:db8::9");
  CHECK(v6->port == 8080);
  const std::string mapped = std::string(10, '\0') + "\xFF\xFF\xC0\x00\x02\x07"s +
                             std::string(16, '\x01') + "\x1F\x90\x20\xFB"s;
  CHECK(source_of(header('\x21', '\x21', mapped))->ip == "192.0.2.7");
  // With what proxies add: here the name that was asked for, and padding up to the limit.
  CHECK(source_of(header('\x21', '\x11', kTcp4 + "\x02\x00\x04test"s))->ip == "192.0.2.7");
  const std::size_t room = ProxyHeaderDecoder::kVariableBytesMax - kTcp4.size();
  CHECK(source_of(header('\x21', '\x11', kTcp4 + padding(room)))->ip == "192.0.2.7");
}

TEST_CASE("A proxy that speaks for itself leaves the address as it is") {
  CHECK_FALSE(source_of(header('\x20', '\x00', "")));
  CHECK_FALSE(source_of(header('\x20', '\x11', kTcp4)));
  CHECK_FALSE(source_of(header('\x21', '\x00', "")));
  CHECK_FALSE(source_of(header('\x21', '\x31', std::string(216, 'u'))));
}

TEST_CASE("What is no such header is refused, the sooner the better") {
  CHECK(refused("\x16"));  // TLS
  CHECK(refused("\x10"));  // MQTT
  CHECK(refused("PROXY TCP4 192.0.2.7 10.0.0.1 8080 8443\r\n"));
  CHECK(refused(header('\x11', '\x11', kTcp4)));
  CHECK(refused(header('\x22', '\x11', kTcp4)));
  CHECK(refused(header('\x21', '\x11', kTcp4.substr(1))));
  CHECK(refused(header('\x21', '\x21', std::string(35, 'x'))));
  const std::size_t room = ProxyHeaderDecoder::kVariableBytesMax - kTcp4.size();
  CHECK(refused(header('\x21', '\x11', kTcp4 + padding(room + 1))));
}

TEST_CASE("A proxy's checksum has to be right if it is there") {
  const auto with_checksum = [](const std::string& checksum) {
    return header(
        '\x21', '\x11', kTcp4 + "\x04\x00\x01Z\x03\x00\x04"s + checksum + "\x01\x00\x02h2"s
    );
  };
  CHECK(source_of(with_checksum("\x61\x49\x33\x18"s))->ip == "192.0.2.7");
  CHECK(refused(with_checksum("\x61\x49\x33\x19"s)));
  CHECK(refused(with_checksum("\0\0\0\0"s)));
  CHECK(refused(header('\x21', '\x11', kTcp4 + "\x03\x00\x03\x61\x49\x33"s)));
  CHECK(refused(header('\x20', '\x11', kTcp4 + "\x03\x00\x04\0\0\0\0"s)));
  // What says that it is longer than the header.
  CHECK(refused(header('\x21', '\x11', kTcp4 + "\x04\x00\x02p"s)));
}

TEST_CASE("An address range holds what shares its prefix") {
  struct Row {
    const char* range;
    const char* ip;
    bool inside;
  };

  for (const Row& row : {
           Row{"10.0.0.0/8", "10.255.0.1", true},
           Row{"10.0.0.0/8", "11.0.0.0", false},
           Row{"192.0.2.7", "192.0.2.7", true},
           Row{"192.0.2.7/32", "192.0.2.6", false},
           Row{"192.0.2.128/25", "192.0.2.200", true},
           Row{"192.0.2.128/25", "192.0.2.127", false},
           Row{"0.0.0.0/0", "8.8.8.8", true},
           Row{"0.0.0.0/0", "::1", false},
           Row{"::/0", "8.8.8.8", false},
           Row{"fd00::/8", "fdff::1", true},
           Row{"fd00::/8", "fe00::1", false},
           Row{"::1", "::1", true},
           Row{"::1", "nobody", false},
       }) {
    CAPTURE(row.range, row.ip);
    const auto range = AddressRange::parse(row.range);
    REQUIRE(range);
    CHECK(range->contains(row.ip) == row.inside);
  }
  for (const char* wrong :
       {"", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/x", "a"}) {
    CAPTURE(wrong);
    CHECK_FALSE(AddressRange::parse(wrong));
  }
  const auto list = parse_address_ranges("10.0.0.0/8, ::1");
  REQUIRE(list);
  CHECK(list->size() == 2);
  CHECK(contains(*list, "::1"));
  CHECK_FALSE(contains(*list, "::2"));
  CHECK_FALSE(parse_address_ranges("10.0.0.0/8,,::1"));
  CHECK(parse_address_ranges("")->empty());
}
