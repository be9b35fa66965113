#include "tests/conformance/case_run.h"

#include "tests/conformance/failure.h"
#include "tests/conformance/match.h"

#include <algorithm>

namespace iotcore::conformance {
namespace {

using std::chrono::milliseconds;

// How long a server may take to answer, and how long silence is listened to where there is no other way to know.
constexpr milliseconds kPatience{20'000};
constexpr milliseconds kSilence{60};

milliseconds read_time(const std::string& word) {
  return milliseconds(static_cast<long>(std::stod(word) * 1000));
}

// 3.1.1 has one code for every failed subscription.
Fields in_version(Version version, Fields wanted) {
  for (Field& field : wanted) {
    for (std::size_t i = 0;
         version == Version::k3 && field.key == "codes" && i < field.value.size();
         i += 3) {
      if (field.value[i] >= '8') {
        field.value.replace(i, 2, "80");
      }
    }
  }
  return wanted;
}

bool is_unordered(const Step& step, const std::string& name) {
  return step.text.starts_with(name + " <*");
}

}  // namespace

CaseRun::CaseRun(World& world, const Case& test, Version version, std::string prefix)
    : world_(world), test_(test), version_(version) {
  names_.prefix = std::move(prefix);
}

void CaseRun::run() {
  int line = 0;
  try {
    for (std::size_t i = 0; i < test_.steps.size(); ++i) {
      const Step& step = test_.steps[i];
      if (step.version != Version{} && step.version != version_) {
        continue;
      }
      line = step.line;
      const std::string name = step.text.substr(0, step.text.find(' '));
      if (!is_unordered(step, name)) {
        this->step(step.text);
        continue;
      }
      std::vector<Words> all;
      for (; i < test_.steps.size() && is_unordered(test_.steps[i], name); ++i) {
        if (test_.steps[i].version == Version{} || test_.steps[i].version == version_) {
          all.push_back(split_words(test_.steps[i].text));
        }
      }
      --i;
      expect_in_any_order(connection(name), all);
    }
    line = 0;
    for (auto& [name, connection] : connections_) {
      if (!connection.over) {
        expect_nothing(connection, name);
      }
    }
  } catch (const std::exception& error) {
    throw Failure(
        test_.file + ":" + (line == 0 ? "at the end" : std::to_string(line)) + ": " + error.what()
    );
  }
}

void CaseRun::step(const std::string& text) {
  const Words words = split_words(text.substr(0, text.find(" ## ")));
  if (words[0] == "for") {
    // for 1..1000 STEP: %i counts.
    const std::size_t dots = words.at(1).find("..");
    const unsigned long last = number_of(words[1].substr(dots + 2));
    const std::string rest = text.substr(text.find(words[1]) + words[1].size() + 1);
    for (unsigned long i = number_of(words[1].substr(0, dots)); i <= last; ++i) {
      names_.variables["i"] = std::to_string(i);
      step(rest);
    }
  } else if (!world_step(words)) {
    on_connection(words);
  }
}

bool CaseRun::world_step(const Words& words) {
  if (words[0] == "wait") {
    world_.wait(read_time(words.at(1)));
  } else if (words[0] == "restart") {
    world_.restart();
    for (auto& [name, connection] : connections_) {
      connection.over = true;
    }
  } else if (words[0] == "breaks" || words[0] == "refuses") {
    breaks(words, words[0] == "breaks");
  } else if (words[0] == "deny") {
    bool literal = false;
    world_.deny(words.at(1), read_value(words.at(2), names_, literal));
  } else if (words[0] == "option") {
    world_.set_option(words.at(1), number_of(words.at(2)));
  } else {
    return false;
  }
  return true;
}

CaseRun::Connection& CaseRun::connection(const std::string& name) {
  Connection& found = connections_[name];
  if (found.wire == nullptr) {
    found.version = version_;
  }
  return found;
}

void CaseRun::on_connection(const Words& words) {
  if (words.size() < 2) {
    throw Failure("not a step: " + words[0]);
  }
  const std::string& name = words[0];
  const std::string& verb = words[1];
  Connection& connection = this->connection(name);
  if (verb == ">") {
    send(connection, words);
  } else if (verb == "<") {
    expect(connection, words);
  } else if (verb == "drop") {
    connection.wire->drop();
    world_.catch_up();
    connection.over = true;
  } else if (verb == "connects") {
    connects(name, connection, words);
  } else if (verb == "subscribes") {
    subscribes(connection, words);
  } else if (verb == "publishes") {
    publishes(connection, words);
  } else if (verb == "gets") {
    gets(connection, words);
  } else {
    throw Failure("not a step: " + name + " " + verb);
  }
}

// ---- Sending ----

void CaseRun::send(Connection& connection, const Words& words) {
  const std::string& type = words.at(2);
  if (type == "raw") {
    std::string text;
    for (std::size_t i = 3; i < words.size(); ++i) {
      text += words[i] + ' ';
    }
    if (connection.wire == nullptr || connection.over) {
      connection.wire = world_.open();
    }
    connection.wire->send(read_bytes(text, names_));
    return;
  }
  Fields fields = read_fields(words, 3, names_);
  if (type == "connect") {
    if (const Field* const version = find_field(fields, "version")) {
      connection.version = version->value == "3" ? Version::k3 : Version::k5;
    }
    if (connection.over) {
      const Version kept = connection.version;
      connection = {};
      connection.version = kept;
    }
  }
  send_packet(connection, type, fields);
}

// breaks REASON BYTES, refuses REASON[/RETURN-CODE] BYTES
void CaseRun::breaks(const Words& words, bool accepted) {
  Connection& connection = this->connection("breaker");
  connection = {};
  connection.version = version_;
  if (accepted) {
    connects("breaker", connection, {"breaker", "connects"});
  }
  Words sending = {"breaker", ">", "raw"};
  sending.insert(sending.end(), words.begin() + 2, words.end());
  send(connection, sending);
  const std::string& codes = words.at(1);
  const std::size_t slash = codes.find('/');
  Words expected = {"breaker", "<", accepted ? "error" : "refused", codes.substr(0, slash)};
  if (slash != std::string::npos) {
    expected.push_back(codes.substr(slash + 1));
  }
  if (codes == "-") {
    expect_closed(connection);
  } else {
    expect(connection, expected);
  }
}

void CaseRun::send_packet(Connection& connection, const std::string& type, const Fields& fields) {
  if (connection.wire == nullptr) {
    connection.wire = world_.open();
  }
  if (type == "connect") {
    connection.packet_bytes_max = number_of(field_or(fields, "max-packet", "0"));
  }
  connection.wire->send(encode(type, fields, connection.version));
}

// ---- Receiving ----

bool CaseRun::read(Connection& connection, milliseconds patience) {
  if (connection.end_seen || connection.wire == nullptr) {
    return false;
  }
  connection.end_seen = !connection.wire->receive(connection.unread, patience);
  std::size_t before = connection.unread.size();
  while (std::optional<Packet> packet = take_packet(connection.unread, connection.version)) {
    const std::size_t bytes = before - connection.unread.size();
    before = connection.unread.size();
    if (connection.packet_bytes_max != 0 && bytes > connection.packet_bytes_max) {
      throw Failure("larger than the client's maximum packet size: " + packet->text());
    }
    connection.packets.push_back(std::move(*packet));
  }
  return true;
}

std::optional<Packet> CaseRun::next(Connection& connection, milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (connection.packets.empty()) {
    if (!read(connection, patience) ||
        (connection.packets.empty() &&
         (world_.is_settled() || std::chrono::steady_clock::now() >= until))) {
      if (connection.packets.empty()) {
        return std::nullopt;
      }
    }
  }
  Packet packet = std::move(connection.packets.front());
  connection.packets.pop_front();
  return packet;
}

void CaseRun::expect(Connection& connection, const Words& words) {
  const std::string& what = words.at(2);
  if (what == "closed") {
    expect_closed(connection);
  } else if (what == "nothing") {
    expect_nothing(connection, words[0]);
  } else if (what == "error") {
    expect_error(connection, words);
  } else if (what == "refused") {
    expect_refusal(connection, words);
  } else {
    expect_packet(connection, what, read_fields(words, 3, names_));
  }
}

void CaseRun::expect_packet(Connection& connection, const std::string& type, const Fields& wanted) {
  const std::optional<Packet> got = next(connection, kPatience);
  if (!got) {
    throw Failure(
        "expected " + type +
        (connection.end_seen ? ", but the server closed" : ", but nothing came")
    );
  }
  if (const std::string why = mismatch(*got, type, in_version(connection.version, wanted));
      !why.empty()) {
    throw Failure(why + ", in: " + got->text());
  }
  if (type == "connack") {
    connection.accepted = field_or(got->fields, "reason", "") == "00";
  }
  bind(*got, wanted);
}

void CaseRun::expect_in_any_order(Connection& connection, const std::vector<Words>& all) {
  std::vector<Words> open = all;
  while (!open.empty()) {
    const std::optional<Packet> got = next(connection, kPatience);
    if (!got) {
      throw Failure(std::to_string(open.size()) + " of the expected packets did not come");
    }
    const auto found = std::find_if(open.begin(), open.end(), [&](const Words& words) {
      return mismatch(*got, words.at(2), read_fields(words, 3, names_)).empty();
    });
    if (found == open.end()) {
      throw Failure("not expected: " + got->text());
    }
    bind(*got, read_fields(*found, 3, names_));
    open.erase(found);
  }
}

void CaseRun::expect_closed(Connection& connection) {
  const std::optional<Packet> got = next(connection, kPatience);
  if (got) {
    throw Failure("expected the end, not: " + got->text());
  }
  if (!connection.end_seen) {
    throw Failure("the server does not close");
  }
  if (!connection.unread.empty()) {
    throw Failure("half a packet before the end");
  }
  connection.over = true;
}

void CaseRun::expect_error(Connection& connection, const Words& words) {
  if (connection.version == Version::k5) {
    expect_packet(connection, "disconnect", {{"reason", words.at(3), true}});
  }
  expect_closed(connection);
}

// refused REASON [RETURN-CODE]: CONNACK as far as the version has a code for it, and the end.
void CaseRun::expect_refusal(Connection& connection, const Words& words) {
  if (connection.version == Version::k5) {
    expect_packet(connection, "connack", {{"reason", words.at(3), true}});
  } else if (words.size() > 4) {
    expect_packet(connection, "connack", {{"reason", words[4], true}});
  }
  expect_closed(connection);
}

void CaseRun::expect_nothing(Connection& connection, const std::string& name) {
  if (connection.wire == nullptr) {
    return;
  }
  fence(connection, name);
  if (!connection.packets.empty()) {
    throw Failure(name + " was sent " + connection.packets.front().text());
  }
  if (connection.end_seen && !connection.over) {
    throw Failure("the server closed " + name);
  }
}

void CaseRun::fence(Connection& connection, const std::string& name) {
  if (world_.is_settled()) {
    read(connection, kSilence);
    return;
  }
  // What another connection has caused is there once that one's ping, and then two of this one, are answered.
  for (auto& [other_name, other] : connections_) {
    if (other_name != name && other.accepted && !other.over) {
      ping(other);
    }
  }
  if (connection.accepted && !connection.over) {
    ping(connection);
    ping(connection);
  } else {
    read(connection, kSilence);
  }
}

void CaseRun::ping(Connection& connection) {
  if (connection.end_seen) {
    return;
  }
  connection.wire->send(encode("pingreq", {}, connection.version));
  std::deque<Packet> before;
  while (std::optional<Packet> packet = next(connection, kPatience)) {
    if (packet->type == "pingresp") {
      connection.packets.insert(connection.packets.begin(), before.begin(), before.end());
      return;
    }
    before.push_back(std::move(*packet));
  }
  connection.packets = std::move(before);
  if (!connection.end_seen) {
    throw Failure("a ping is not answered");
  }
}

void CaseRun::bind(const Packet& got, const Fields& wanted) {
  for (const Field& field : wanted) {
    if (field.literal && field.value.starts_with('%')) {
      names_.variables[field.value.substr(1)] = field_or(got.fields, field.key, "");
    }
  }
}

// ---- Whole exchanges ----

void CaseRun::connects(const std::string& name, Connection& connection, const Words& words) {
  if (connection.over) {
    connection = {};
    connection.version = version_;
  }
  Fields fields;
  Fields wanted;
  for (const Field& field : read_fields(words, 2, names_)) {
    if (field.key == "version") {
      connection.version = field.value == "3" ? Version::k3 : Version::k5;
    } else {
      (field.key == "present" ? wanted : fields).push_back(field);
    }
  }
  if (find_field(fields, "id") == nullptr) {
    fields.push_back({"id", names_.prefix + name, true});
  }
  wanted.push_back({"reason", "00", true});
  send_packet(connection, "connect", fields);
  expect_packet(connection, "connack", wanted);
}

// subscribes FILTER [options]
void CaseRun::subscribes(Connection& connection, const Words& words) {
  bool literal = false;
  Fields fields = {{"filter", read_value(words.at(2), names_, literal), true}};
  for (const Field& field : read_fields(words, 3, names_)) {
    fields.push_back(field);
  }
  const std::string id = std::to_string(connection.next_id++);
  fields.push_back({"id", id, true});
  send_packet(connection, "subscribe", fields);
  const std::string code = "0" + field_or(fields, "qos", "0");
  expect_packet(connection, "suback", {{"id", id, true}, {"codes", code, true}});
}

// publishes TOPIC PAYLOAD [fields], to the end of the exchange
void CaseRun::publishes(Connection& connection, const Words& words) {
  bool literal = false;
  Fields fields = {
      {"topic", read_value(words.at(2), names_, literal), true},
      {"payload", read_value(words.at(3), names_, literal), true}};
  for (const Field& field : read_fields(words, 4, names_)) {
    fields.push_back(field);
  }
  const std::string qos = field_or(fields, "qos", "0");
  if (find_field(fields, "id") == nullptr) {
    fields.push_back({"id", std::to_string(connection.next_id++), true});
  }
  const std::string id = field_or(fields, "id", "");
  send_packet(connection, "publish", fields);
  if (qos == "0") {
    world_.catch_up();
  } else if (qos == "1") {
    expect_packet(connection, "puback", {{"id", id, true}});
  } else if (qos == "2") {
    expect_packet(connection, "pubrec", {{"id", id, true}});
    send_packet(connection, "pubrel", {{"id", id, true}});
    expect_packet(connection, "pubcomp", {{"id", id, true}});
  }
}

// gets TOPIC PAYLOAD [fields], and acknowledges
void CaseRun::gets(Connection& connection, const Words& words) {
  Fields wanted;
  bool literal = false;
  std::string text = read_value(words.at(2), names_, literal);
  wanted.push_back({"topic", text, literal});
  text = read_value(words.at(3), names_, literal);
  wanted.push_back({"payload", text, literal});
  for (const Field& field : read_fields(words, 4, names_)) {
    wanted.push_back(field);
  }
  if (find_field(wanted, "id") == nullptr) {
    wanted.push_back({"id", "%id", true});
  }
  const std::string qos = field_or(wanted, "qos", "0");
  if (qos == "0") {
    wanted.pop_back();
  }
  names_.variables.erase("id");
  expect_packet(connection, "publish", wanted);
  const Fields id = {{"id", names_.variables["id"], true}};
  if (qos == "1") {
    send_packet(connection, "puback", id);
  } else if (qos == "2") {
    send_packet(connection, "pubrec", id);
    expect_packet(connection, "pubrel", id);
    send_packet(connection, "pubcomp", id);
  }
}

}  // namespace iotcore::conformance
