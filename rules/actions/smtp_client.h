#pragma once

#include "base/clock.h"
#include "net/client_channel.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// A target of kind `smtp`.
struct SmtpOptions {
  ServerOptions server;
  bool starttls = true;  // false: TLS from the first byte, if at all
  std::string from;
  std::chrono::milliseconds timeout{0};
};

SmtpOptions read_smtp(MemberReader& members);

struct Mail {
  std::vector<std::string> to;
  std::string subject;
  std::string body;
  std::string id;  // the same when it is sent again
};

// "a@b, c@d": what is wrong with it as a list of receivers, or the list.
Result<std::vector<std::string>> parse_receivers(std::string_view text);

// The mail as it goes over the wire, behind DATA and before its last line. Pure.
std::string mail_text(const Mail& mail, std::string_view from, WallTime now);

// A connection to a mail server (RFC 5321). Blocks, no step for longer than its time-out. One thread at a time.
class SmtpClient {
 public:
  // Greeted, in TLS and signed in.
  static Result<std::unique_ptr<SmtpClient>> open(const SmtpOptions& options);

  // kRetry where the server may think otherwise later. Receivers that it refuses are left out, unless it refuses them all.
  Outcome send(const Mail& mail, WallTime now);

  // Whether the connection can go on.
  bool is_usable() const { return usable_; }

  Status noop();
  void quit();

 private:
  struct Reply {
    int code = 0;
    std::string text;
  };

  SmtpClient(net::ClientChannel channel, const SmtpOptions& options)
      : channel_(std::move(channel)), from_(options.from), timeout_(options.timeout) {}

  Status greet();
  Status start_tls(const SmtpOptions& options);
  Status log_in(const std::string& user, const std::string& password);
  Result<Reply> ask(std::string_view command);
  Result<Reply> read_reply();
  Outcome refuse(const Reply& reply);

  net::ClientChannel channel_;
  const std::string from_;
  const std::chrono::milliseconds timeout_;
  std::string in_;
  std::string extensions_;  // of EHLO, in upper case
  bool usable_ = true;
};

}  // namespace iotcore::rules::actions
