#include "rules/actions/smtp_client.h"

#include "base/crypto.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {"smtp", "smtps", 587, 587};
constexpr std::uint16_t kImplicitTlsPort = 465;
constexpr std::size_t kReceiversMax = 100;
constexpr std::size_t kLineBytes = 76;
constexpr std::size_t kReplyBytesMax = 64U << 10;
constexpr std::size_t kIdBytes = 16;

bool is_address(std::string_view text) {
  const std::size_t at = text.find('@');
  return at != 0 && at != std::string_view::npos && at + 1 < text.size() && text.size() <= 320 &&
         std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) <= ' ' || c == '<' || c == '>' || c == '\x7f';
         });
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; });
}

// A header's value: RFC 2047 where it is not ASCII, in pieces that are whole characters.
std::string header_text(std::string_view text) {
  if (is_plain(text) && text.size() < 800) {
    return std::string(text);
  }
  constexpr std::size_t kPieceBytes = 42;
  std::string out;
  while (!text.empty()) {
    std::size_t size = std::min(kPieceBytes, text.size());
    while (size > 1 && size < text.size() &&
           (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) {
      --size;
    }
    out += fmt::format(
        "{}=?UTF-8?B?{}?=", out.empty() ? "" : "\r\n ", to_base64(text.substr(0, size))
    );
    text.remove_prefix(size);
  }
  return out;
}

std::string in_lines(const std::string& base64) {
  std::string out;
  for (std::size_t at = 0; at < base64.size(); at += kLineBytes) {
    out += base64.substr(at, kLineBytes);
    out += "\r\n";
  }
  return out;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  return text;
}

}  // namespace

SmtpOptions read_smtp(MemberReader& members) {
  SmtpOptions options;
  options.server = read_server(members, kServerKind, true);
  Address& address = options.server.address;
  const bool implicit = address.scheme == "smtps" || address.port == kImplicitTlsPort;
  options.starttls = members.optional_boolean("starttls").value_or(!implicit);
  if (address.scheme == "smtps" && !members.has("port") && address.port == kServerKind.port) {
    address.port = kImplicitTlsPort;
  }
  options.from = members.text("from");
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(30));
  if (!options.from.empty() && !is_address(options.from)) {
    members.fail_member("from", "is no mail address");
  }
  return options;
}

Result<std::vector<std::string>> parse_receivers(std::string_view text) {
  std::vector<std::string> receivers;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    while (one.starts_with(' ')) {
      one.remove_prefix(1);
    }
    while (one.ends_with(' ')) {
      one.remove_suffix(1);
    }
    if (!is_address(one)) {
      return fail(Errc::kInvalidRequest, fmt::format("'{}' is no mail address", one));
    }
    receivers.emplace_back(one);
  }
  if (receivers.empty() || receivers.size() > kReceiversMax) {
    return fail(Errc::kInvalidRequest, fmt::format("there are 1 to {} receivers", kReceiversMax));
  }
  return receivers;
}

std::string mail_text(const Mail& mail, std::string_view from, WallTime now) {
  std::string subject = mail.subject;
  std::ranges::replace_if(
      subject, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' '
  );
  const std::string_view domain = from.substr(from.find('@') + 1);
  return fmt::format(
      "Date: {:%a, %d %b %Y %H:%M:%S} +0000\r\n"
      "Message-ID: <{}@{}>\r\n"
      "From: <{}>\r\n"
      "To: {}\r\n"
      "Subject: {}\r\n"
      "MIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: base64\r\n"
      "Auto-Submitted: auto-generated\r\n"
      "\r\n"
      "{}",
      fmt::gmtime(static_cast<std::time_t>(to_epoch_s(now))),
      to_hex(as_text(sha256(mail.id)).substr(0, kIdBytes)),
      domain,
      from,
      fmt::join(mail.to, ",\r\n "),
      header_text(subject),
      in_lines(to_base64(mail.body))
  );
}

Result<SmtpClient::Reply> SmtpClient::read_reply() {
  Reply reply;
  std::array<char, 4096> chunk;
  for (;;) {
    for (std::size_t end = in_.find("\r\n"); end != std::string::npos; end = in_.find("\r\n")) {
      const std::string line = in_.substr(0, end);
      in_.erase(0, end + 2);
      std::from_chars(line.data(), line.data() + std::min<std::size_t>(3, line.size()), reply.code);
      reply.text += (reply.text.empty() ? "" : "\n") + (line.size() > 4 ? line.substr(4) : "");
      if (line.size() < 4 || line[3] != '-') {
        return reply;
      }
    }
    if (in_.size() + reply.text.size() > kReplyBytesMax) {
      return fail(Errc::kUnavailable, "SMTP: the server answers without end");
    }
    IOTCORE_ASSIGN(const std::size_t n, channel_.read(chunk.data(), chunk.size()));
    if (n == 0) {
      return fail(Errc::kUnavailable, "SMTP: the server has closed the connection");
    }
    in_.append(chunk.data(), n);
  }
}

Result<SmtpClient::Reply> SmtpClient::ask(std::string_view command) {
  channel_.set_deadline(timeout_);
  IOTCORE_TRY(channel_.write(std::string(command) + "\r\n"));
  return read_reply();
}

Status SmtpClient::greet() {
  IOTCORE_ASSIGN(const Reply reply, ask("EHLO iotcore"));
  if (reply.code != 250) {
    return fail(Errc::kUnavailable, fmt::format("SMTP: {} {}", reply.code, reply.text));
  }
  extensions_ = "\n" + upper(reply.text) + "\n";
  return {};
}

Status SmtpClient::start_tls(const SmtpOptions& options) {
  IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options.server.tls));
  return channel_.start_tls(tls);
}

Status SmtpClient::log_in(const std::string& user, const std::string& password) {
  if (user.empty()) {
    return {};
  }
  const std::string zero(1, char{0});
  const std::string plain = zero + user + zero + password;
  Result<Reply> reply = ask("AUTH PLAIN " + to_base64(plain));
  if (reply && reply->code == 504) {  // it knows LOGIN only
    reply = ask("AUTH LOGIN");
    if (reply && reply->code == 334) {
      reply = ask(to_base64(user));
    }
    if (reply && reply->code == 334) {
      reply = ask(to_base64(password));
    }
  }
  if (!reply) {
    return fail(reply.error());
  }
  return reply->code == 235
             ? Status()
             : fail(
                   Errc::kUnavailable, fmt::format("SMTP: login: {} {}", reply->code, reply->text)
               );
}

Result<std::unique_ptr<SmtpClient>> SmtpClient::open(const SmtpOptions& options) {
  const Address& address = options.server.address;
  IOTCORE_ASSIGN(
      net::ClientChannel channel,
      net::ClientChannel::open(address.host, address.port, options.timeout)
  );
  std::unique_ptr<SmtpClient> client(new SmtpClient(std::move(channel), options));
  const bool tls = options.server.tls.on;
  if (tls && !options.starttls) {
    IOTCORE_TRY(client->start_tls(options));
  }
  IOTCORE_ASSIGN(const Reply welcome, client->read_reply());
  if (welcome.code != 220) {
    return fail(Errc::kUnavailable, fmt::format("SMTP: {} {}", welcome.code, welcome.text));
  }
  IOTCORE_TRY(client->greet());
  if (tls && options.starttls) {
    IOTCORE_ASSIGN(const Reply ready, client->ask("STARTTLS"));
    if (ready.code != 220) {
      return fail(
          Errc::kUnavailable,
          fmt::format(
              "SMTP: the server does not speak STARTTLS ({} {}); tls = FALSE does without",
              ready.code,
              ready.text
          )
      );
    }
    // What came in plain text behind the answer is nobody's word.
    client->in_.clear();
    IOTCORE_TRY(client->start_tls(options));
    IOTCORE_TRY(client->greet());
  }
  IOTCORE_TRY(client->log_in(address.user, address.password));
  return client;
}

Outcome SmtpClient::refuse(const Reply& reply) {
  std::string reason = fmt::format("SMTP: {} {}", reply.code, reply.text);
  usable_ = usable_ && reply.code != 421;
  if (usable_) {
    usable_ = ask("RSET").has_value();
  }
  return reply.code / 100 == 5 ? Outcome::permanent(std::move(reason))
                               : Outcome::retry(std::move(reason));
}

Outcome SmtpClient::send(const Mail& mail, WallTime now) {
  const auto broken = [this](const Error& error) {
    usable_ = false;
    return Outcome::retry(error.message());
  };
  Result<Reply> reply = ask(fmt::format("MAIL FROM:<{}>", from_));
  if (!reply) {
    return broken(reply.error());
  }
  if (reply->code / 100 != 2) {
    return refuse(*reply);
  }
  std::size_t taken = 0;
  Reply refused;
  for (const std::string& receiver : mail.to) {
    reply = ask(fmt::format("RCPT TO:<{}>", receiver));
    if (!reply) {
      return broken(reply.error());
    }
    if (reply->code / 100 == 2) {
      ++taken;
    } else if (reply->code / 100 != 5) {
      return refuse(*reply);  // later for all of them, so that nobody gets it twice
    } else {
      refused = *reply;
    }
  }
  if (taken == 0) {
    return refuse(refused);
  }
  reply = ask("DATA");
  if (!reply) {
    return broken(reply.error());
  }
  if (reply->code != 354) {
    return refuse(*reply);
  }
  // No line of it begins with a dot: headers don't, and neither does base64.
  reply = ask(mail_text(mail, from_, now) + ".");
  if (!reply) {
    return broken(reply.error());
  }
  return reply->code / 100 == 2 ? Outcome() : refuse(*reply);
}

Status SmtpClient::noop() {
  IOTCORE_ASSIGN(const Reply reply, ask("NOOP"));
  return reply.code / 100 == 2
             ? Status()
             : fail(Errc::kUnavailable, fmt::format("SMTP: {} {}", reply.code, reply.text));
}

void SmtpClient::quit() {
  ignore_error(ask("QUIT"), "it is closed in any case");
  usable_ = false;
}

}  // namespace iotcore::rules::actions
