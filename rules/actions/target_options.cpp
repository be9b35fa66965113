#include "rules/actions/target_options.h"

#include "base/files.h"
#include "net/http_message.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <fmt/format.h>

#include <charconv>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::rules::actions {
namespace {

Result<std::string> pem_of(const std::string& text_or_path, std::string_view name) {
  if (text_or_path.empty() || text_or_path.find("-----BEGIN ") != std::string::npos) {
    return text_or_path;
  }
  Result<std::string> read = read_file(text_or_path, 1U << 20);
  if (!read) {
    return fail(
        Errc::kUnavailable, fmt::format("{} cannot be read: {}", name, read.error().message())
    );
  }
  return read;
}

std::string without_brackets(std::string_view host) {
  return std::string(
      host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host
  );
}

}  // namespace

TlsOptions read_tls(MemberReader& members, bool on) {
  TlsOptions tls;
  tls.on = members.optional_boolean("tls").value_or(on);
  tls.ca = members.optional_text_or_secret("ca");
  tls.cert = members.optional_text_or_secret("cert");
  tls.key = members.optional_text_or_secret("key");
  tls.verify = members.optional_boolean("verify").value_or(true);
  for (const std::string_view name : {"ca", "cert", "key", "verify"}) {
    if (!tls.on && members.has(name)) {
      members.fail_member(name, "has a meaning only with tls = TRUE");
    }
  }
  if (members.has("cert") != members.has("key")) {
    members.fail_at(members.pointer(), "cert and key go together");
  }
  return tls;
}

Result<net::ClientTls> load_tls(const TlsOptions& options) {
  net::ClientTls tls;
  IOTCORE_ASSIGN(tls.ca_pem, pem_of(options.ca, "ca"));
  IOTCORE_ASSIGN(tls.certificate_pem, pem_of(options.cert, "cert"));
  IOTCORE_ASSIGN(tls.private_key_pem, pem_of(options.key, "key"));
  tls.verify = options.verify;
  return tls;
}

Result<MemoryFile> MemoryFile::make(std::string_view text) {
  MemoryFile file;
  if (text.empty()) {
    return file;
  }
  file.fd_ = net::UniqueFd(::memfd_create("iotcore", MFD_CLOEXEC));
  if (!file.fd_ || ::fchmod(file.fd_.get(), 0600) != 0 ||
      ::write(file.fd_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail(Errc::kUnavailable, "a file in memory can't be made");
  }
  file.path_ = fmt::format("/proc/self/fd/{}", file.fd_.get());
  return file;
}

Result<Address> parse_address(std::string_view text) {
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed || parsed->encoded_host().empty()) {
    return fail(
        Errc::kInvalidRequest, "is not an address such as scheme://user:password@host:port/path"
    );
  }
  const boost::urls::url_view& url = *parsed;
  const auto decoded = [](std::string_view part) {
    return net::percent_decode(part).value_or(std::string(part));
  };
  Address address;
  address.scheme.assign(url.scheme().data(), url.scheme().size());
  address.user = decoded({url.encoded_user().data(), url.encoded_user().size()});
  address.password = decoded({url.encoded_password().data(), url.encoded_password().size()});
  address.host = without_brackets(decoded({url.encoded_host().data(), url.encoded_host().size()}));
  const std::string_view port(url.port().data(), url.port().size());
  std::from_chars(port.data(), port.data() + port.size(), address.port);  // too large: stays 0
  address.path.assign(url.encoded_path().data(), url.encoded_path().size());
  address.query.assign(url.encoded_query().data(), url.encoded_query().size());
  if (url.has_port() && address.port == 0) {
    return fail(Errc::kInvalidRequest, "has a port that is none");
  }
  return address;
}

ServerOptions read_server(MemberReader& members, const ServerKind& kind, bool tls) {
  ServerOptions options;
  Address& address = options.address;
  if (members.has("url") == members.has("host")) {
    members.fail_at(members.pointer(), "needs one of host and url");
  }
  // A url may be a secret, since it may have a password in it.
  if (const std::string url = members.optional_text_or_secret("url"); !url.empty()) {
    Result<Address> parsed = parse_address(url);
    if (!parsed) {
      members.fail_member("url", parsed.error().message());
    } else if (parsed->scheme != kind.scheme && parsed->scheme != kind.tls_scheme) {
      members.fail_member(
          "url", fmt::format("begins with {}:// or {}://", kind.scheme, kind.tls_scheme)
      );
    } else if (!parsed->query.empty()) {
      members.fail_member("url", "has a query; options stand beside the url");
    } else {
      address = *std::move(parsed);
      tls = tls || address.scheme == kind.tls_scheme;
    }
  }
  address.host = without_brackets(members.optional_text("host").value_or(address.host));
  if (const auto port = members.optional_integer("port", 1, 65535)) {
    address.port = static_cast<std::uint16_t>(*port);
  }
  if (members.has("user")) {
    address.user = members.optional_text_or_secret("user");
  }
  if (members.has("password")) {
    address.password = members.optional_text_or_secret("password");
  }
  options.tls = read_tls(members, tls);
  if (address.port == 0) {
    address.port = options.tls.on ? kind.tls_port : kind.port;
  }
  return options;
}

HttpOptions read_http(MemberReader& members, std::string_view endpoint) {
  HttpOptions options;
  const std::string text = members.text(endpoint);
  bool tls = false;
  if (!text.empty()) {
    const Result<Address> parsed = parse_address(text);
    if (!parsed || (parsed->scheme != "http" && parsed->scheme != "https") ||
        !parsed->query.empty()) {
      members.fail_member(endpoint, "must be http://host:port or https://host:port");
    } else {
      tls = parsed->scheme == "https";
      options.server.host = parsed->host;
      options.server.port = parsed->port != 0 ? parsed->port : tls ? 443 : 80;
      options.path = parsed->path;
      while (options.path.ends_with('/')) {
        options.path.pop_back();
      }
    }
  }
  options.tls = read_tls(members, tls);
  options.server.tls = options.tls.on;
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(30));
  return options;
}

Result<net::HttpServer> load_server(const HttpOptions& options) {
  net::HttpServer server = options.server;
  IOTCORE_ASSIGN(net::ClientTls tls, load_tls(options.tls));
  server.ca_pem = std::move(tls.ca_pem);
  server.certificate_pem = std::move(tls.certificate_pem);
  server.private_key_pem = std::move(tls.private_key_pem);
  server.verify = tls.verify;
  return server;
}

std::chrono::milliseconds read_timeout(
    MemberReader& members, std::string_view name, std::chrono::milliseconds absent
) {
  const std::int64_t ms = members.optional_duration_ms(name).value_or(absent.count());
  if (ms < 100 || ms > 600'000) {
    members.fail_member(name, "must be between 100 ms and 10 min");
  }
  return std::chrono::milliseconds(ms);
}

}  // namespace iotcore::rules::actions
