#include "tests/conformance/packet.h"

#include "tests/conformance/failure.h"
#include "tests/conformance/properties.h"

#include <algorithm>
#include <array>
#include <set>

namespace iotcore::conformance {
namespace {

constexpr std::array<std::string_view, 16> kTypes = {
    "",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth"};

bool is_ack(std::string_view type) {
  return type.starts_with("pub") && type != "publish";
}

unsigned type_number(std::string_view type) {
  const auto* const found = std::find(kTypes.begin(), kTypes.end(), type);
  if (found == kTypes.end() || type.empty()) {
    throw Failure("no packet of the name " + std::string(type));
  }
  return static_cast<unsigned>(found - kTypes.begin());
}

// The properties among the fields whose names begin with `prefix`, behind their length; none in 3.1.1.
std::string properties_of(const Fields& fields, Version version, std::string_view prefix = "") {
  std::string block;
  for (const Field& field : fields) {
    if (!field.key.starts_with(prefix)) {
      continue;
    }
    const std::string_view name = std::string_view(field.key).substr(prefix.size());
    if (const PropertyName* const property = find_property(name)) {
      block += encode_property(*property, field.value);
    } else if (name == "property") {
      block += field.value;
    }
  }
  if (version == Version::k3) {
    if (!block.empty()) {
      throw Failure("a property in a packet of 3.1.1");
    }
    return {};
  }
  return encode_variable(block.size()) + block;
}

bool has_properties(const Fields& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const Field& field) {
    return find_property(field.key) != nullptr || field.key == "property";
  });
}

unsigned long number_or(const Fields& fields, std::string_view key, unsigned long absent) {
  const Field* const field = find_field(fields, key);
  return field == nullptr ? absent : number_of(field->value);
}

unsigned long hex_or(const Fields& fields, std::string_view key, unsigned long absent) {
  const Field* const field = find_field(fields, key);
  return field == nullptr ? absent : std::stoul(field->value, nullptr, 16);
}

std::string encode_connect(const Fields& fields, Version version) {
  const bool persist = find_field(fields, "persist") != nullptr;
  const bool will = find_field(fields, "will-topic") != nullptr;
  const Field* const user = find_field(fields, "username");
  const Field* const password = find_field(fields, "password");
  unsigned long flags = number_or(fields, "clean", persist ? 0 : 1) << 1U;
  flags |= will ? 4U : 0U;
  flags |= number_or(fields, "will-qos", 0) << 3U;
  flags |= number_or(fields, "will-retain", 0) << 5U;
  flags |= password != nullptr ? 0x40U : 0U;
  flags |= user != nullptr ? 0x80U : 0U;
  Fields own;
  std::copy_if(fields.begin(), fields.end(), std::back_inserter(own), [](const Field& field) {
    return !field.key.starts_with("will-");
  });
  if (persist && version == Version::k5 && find_field(fields, "session-expiry") == nullptr) {
    own.push_back({"session-expiry", "3600"});
  }
  std::string body = encode_text(field_or(fields, "protocol", "MQTT"));
  body += encode_integer(number_or(fields, "level", static_cast<unsigned long>(version)), 1);
  body += encode_integer(hex_or(fields, "connect-flags", flags), 1);
  body += encode_integer(number_or(fields, "keep", 0), 2);
  body += properties_of(own, version);
  body += encode_text(field_or(fields, "id", ""));
  if (will) {
    body += properties_of(fields, version, "will-");
    body += encode_text(field_or(fields, "will-topic", ""));
    body += encode_text(field_or(fields, "will-payload", ""));
  }
  body += user != nullptr ? encode_text(user->value) : "";
  body += password != nullptr ? encode_text(password->value) : "";
  return body;
}

std::string encode_publish(const Fields& fields, Version version, unsigned long& bits) {
  const unsigned long qos = number_or(fields, "qos", 0);
  bits = number_or(fields, "dup", 0) << 3U | qos << 1U | number_or(fields, "retain", 0);
  std::string body = encode_text(field_or(fields, "topic", ""));
  if (qos != 0) {
    body += encode_integer(number_or(fields, "id", 1), 2);
  }
  return body + properties_of(fields, version) + field_or(fields, "payload", "");
}

// Options stand behind the filter that they belong to.
std::string encode_filters(const Fields& fields, bool with_options) {
  std::string body;
  unsigned long options = 0;
  bool open = false;
  const auto finish = [&] {
    if (open && with_options) {
      body.push_back(static_cast<char>(options));
    }
    options = 0;
  };
  for (const Field& field : fields) {
    if (field.key == "filter") {
      finish();
      body += encode_text(field.value);
      open = true;
    } else if (field.key == "qos") {
      options |= number_of(field.value);
    } else if (field.key == "nl") {
      options |= number_of(field.value) << 2U;
    } else if (field.key == "rap") {
      options |= number_of(field.value) << 3U;
    } else if (field.key == "rh") {
      options |= number_of(field.value) << 4U;
    } else if (field.key == "options") {
      options = std::stoul(field.value, nullptr, 16);
    }
  }
  finish();
  return body;
}

// A reason and properties at the end of a packet, as short as it can be.
std::string encode_reason(const Fields& fields, Version version) {
  const bool properties = has_properties(fields);
  if (version == Version::k3 || (find_field(fields, "reason") == nullptr && !properties)) {
    return {};
  }
  std::string body = encode_integer(hex_or(fields, "reason", 0), 1);
  return properties ? body + properties_of(fields, version) : body;
}

void check(bool ok, const char* what) {
  if (!ok) {
    throw Failure(std::string("the server's packet is malformed: ") + what);
  }
}

void add(Packet& packet, std::string key, std::string value) {
  packet.fields.push_back({std::move(key), std::move(value)});
}

const std::set<std::string>& reasons_of(const std::string& type) {
  static const std::map<std::string, std::set<std::string>> kReasons = {
      {"connack", {"00", "80", "81", "82", "83", "84", "85", "86", "87", "88", "89",
                   "8a", "8c", "90", "95", "97", "99", "9a", "9b", "9c", "9d", "9f"}},
      {"puback", {"00", "10", "80", "83", "87", "90", "91", "97", "99"}},
      {"pubrec", {"00", "10", "80", "83", "87", "90", "91", "97", "99"}},
      {"pubrel", {"00", "92"}},
      {"pubcomp", {"00", "92"}},
      {"suback", {"00", "01", "02", "80", "83", "87", "8f", "91", "97", "9e", "a1", "a2"}},
      {"unsuback", {"00", "11", "80", "83", "87", "8f", "91"}},
      {"disconnect",
       {"00", "80", "81", "82", "83", "87", "89", "8b", "8c", "8d", "8e", "8f", "90", "93", "94",
        "95", "96", "97", "98", "99", "9a", "9b", "9c", "9d", "9e", "9f", "a0", "a1", "a2"}},
      {"auth", {"00", "18"}},
  };
  return kReasons.at(type);
}

std::string take_reason(std::string_view& rest, const std::string& type) {
  std::string reason = hex_byte(static_cast<unsigned>(take_integer(rest, 1)));
  if (!reasons_of(type).contains(reason)) {
    throw Failure("the server sent reason " + reason + ", which " + type + " does not have");
  }
  return reason;
}

void read_connack(Packet& packet, std::string_view rest, Version version) {
  const unsigned long flags = take_integer(rest, 1);
  check(flags <= 1, "flags of CONNACK");
  add(packet, "present", std::to_string(flags));
  if (version == Version::k3) {
    const unsigned long code = take_integer(rest, 1);
    check(code <= 5, "return code of CONNACK");
    check(code == 0 || flags == 0, "session present in a refusal");
    add(packet, "reason", hex_byte(static_cast<unsigned>(code)));
  } else {
    add(packet, "reason", take_reason(rest, "connack"));
    check(packet.fields.back().value == "00" || flags == 0, "session present in a refusal");
    read_properties(rest, 'A', packet.fields);
  }
  check(rest.empty(), "CONNACK goes on");
}

void read_publish(Packet& packet, std::string_view rest, Version version, unsigned bits) {
  const unsigned qos = (bits >> 1U) & 3U;
  check(qos != 3, "QoS 3");
  check(qos != 0 || bits < 8, "DUP at QoS 0");
  add(packet, "topic", take_text(rest));
  check(packet.fields.back().value.find_first_of("+#") == std::string::npos, "wildcard in a topic");
  add(packet, "qos", std::to_string(qos));
  add(packet, "retain", std::to_string(bits & 1U));
  add(packet, "dup", std::to_string(bits >> 3U));
  if (qos != 0) {
    const unsigned long id = take_integer(rest, 2);
    check(id != 0, "packet identifier 0");
    add(packet, "id", std::to_string(id));
  }
  if (version == Version::k5) {
    read_properties(rest, 'P', packet.fields);
  }
  add(packet, "payload", std::string(rest));
}

void read_ack(Packet& packet, std::string_view rest, Version version) {
  const unsigned long id = take_integer(rest, 2);
  check(id != 0, "packet identifier 0");
  add(packet, "id", std::to_string(id));
  std::string reason = "00";
  if (version == Version::k5 && !rest.empty()) {
    reason = take_reason(rest, packet.type);
  }
  add(packet, "reason", reason);
  if (version == Version::k5 && !rest.empty()) {
    read_properties(rest, 'K', packet.fields);
  }
  check(rest.empty(), "an acknowledgement goes on");
}

void read_subscribe_ack(Packet& packet, std::string_view rest, Version version) {
  add(packet, "id", std::to_string(take_integer(rest, 2)));
  if (version == Version::k5) {
    read_properties(rest, packet.type == "suback" ? 'B' : 'N', packet.fields);
  } else if (packet.type == "unsuback") {
    check(rest.empty(), "UNSUBACK goes on");
    return;
  }
  std::string codes;
  check(!rest.empty(), "no reason codes");
  while (!rest.empty()) {
    codes += (codes.empty() ? "" : ",") + take_reason(rest, packet.type);
    const std::string last = codes.substr(codes.size() - 2);
    check(
        version == Version::k5 || last == "00" || last == "01" || last == "02" || last == "80",
        "a reserved return code in SUBACK"
    );
  }
  add(packet, "codes", codes);
}

void read_end(Packet& packet, std::string_view rest, Version version) {
  check(version == Version::k5, "3.1.1 has no such packet of the server");
  const bool disconnect = packet.type == "disconnect";
  add(packet, "reason", rest.empty() ? "00" : take_reason(rest, packet.type));
  if (!rest.empty()) {
    read_properties(rest, disconnect ? 'D' : 'X', packet.fields);
  }
  check(rest.empty(), "the packet goes on");
}

}  // namespace

std::string Packet::text() const {
  std::string out = type;
  for (const Field& field : fields) {
    out += ' ' + field.key + '=' + printable(field.value);
  }
  return out;
}

std::string encode(const std::string& type, const Fields& fields, Version version) {
  unsigned long bits = type == "subscribe" || type == "unsubscribe" || type == "pubrel" ? 2 : 0;
  std::string body;
  if (type == "connect") {
    body = encode_connect(fields, version);
  } else if (type == "publish") {
    body = encode_publish(fields, version, bits);
  } else if (is_ack(type)) {
    body = encode_integer(number_or(fields, "id", 1), 2) + encode_reason(fields, version);
  } else if (type == "subscribe" || type == "unsubscribe") {
    body = encode_integer(number_or(fields, "id", 1), 2) + properties_of(fields, version) +
           encode_filters(fields, type == "subscribe");
  } else if (type == "disconnect" || type == "auth") {
    body = encode_reason(fields, version);
  } else if (type != "pingreq") {
    throw Failure("a client does not send " + type);
  }
  body += field_or(fields, "tail", "");
  bits = hex_or(fields, "bits", bits);
  std::string out(1, static_cast<char>(type_number(type) << 4U | bits));
  return out + encode_variable(body.size()) + body;
}

std::optional<Packet> take_packet(std::string& bytes, Version version) {
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  std::size_t digits = 1;
  while (digits < 4 && digits + 1 < bytes.size() &&
         (static_cast<unsigned char>(bytes[digits]) & 0x80U) != 0) {
    ++digits;
  }
  if ((static_cast<unsigned char>(bytes[digits]) & 0x80U) != 0 && digits < 4) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(bytes).substr(1);
  const unsigned long size = take_variable(rest);
  if (rest.size() < size) {
    return std::nullopt;
  }
  const auto first = static_cast<unsigned char>(bytes[0]);
  Packet packet;
  packet.type = kTypes[first >> 4U];
  const unsigned bits = first & 15U;
  const std::string body(rest.substr(0, size));
  bytes.erase(0, bytes.size() - rest.size() + size);
  if (packet.type == "publish") {
    read_publish(packet, body, version, bits);
    return packet;
  }
  check(bits == (packet.type == "pubrel" ? 2U : 0U), "flags of the fixed header");
  if (packet.type == "connack") {
    read_connack(packet, body, version);
  } else if (is_ack(packet.type)) {
    read_ack(packet, body, version);
  } else if (packet.type == "suback" || packet.type == "unsuback") {
    read_subscribe_ack(packet, body, version);
  } else if (packet.type == "disconnect" || packet.type == "auth") {
    read_end(packet, body, version);
  } else {
    check(packet.type == "pingresp" && body.empty(), "a packet that a server does not send");
  }
  return packet;
}

}  // namespace iotcore::conformance
