#include "rules/actions/kafka_settings.h"

#include "base/crypto.h"
#include "net/pkcs12.h"
#include "rules/sql/source_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

// What AWS accepts (kafka action of AWS IoT), and all that stands for more safety.
constexpr auto kProperties = std::to_array<std::string_view>(
    {"acks",
     "bootstrap.servers",
     "compression.type",
     "key.serializer",
     "sasl.kerberos.keytab",
     "sasl.kerberos.krb5.kdc",
     "sasl.kerberos.krb5.realm",
     "sasl.kerberos.principal",
     "sasl.kerberos.service.name",
     "sasl.mechanism",
     "sasl.plain.password",
     "sasl.plain.username",
     "sasl.scram.password",
     "sasl.scram.username",
     "security.protocol",
     "ssl.key.password",
     "ssl.keystore",
     "ssl.keystore.password",
     "ssl.truststore",
     "ssl.truststore.password",
     "value.serializer"}
);
constexpr auto kAcks = std::to_array<std::string_view>({"0", "1", "all", "-1"});
constexpr auto kCompressions =
    std::to_array<std::string_view>({"none", "gzip", "snappy", "lz4", "zstd"});
constexpr auto kProtocols =
    std::to_array<std::string_view>({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"});
constexpr auto kMechanisms =
    std::to_array<std::string_view>({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"});

constexpr std::string_view kJksMagic = "\xFE\xED\xFE\xED";
constexpr std::string_view kPem = "-----BEGIN ";

constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(30);

template <std::size_t N>
Status check_choice(
    std::string_view name, std::string_view value, const std::array<std::string_view, N>& choices
) {
  if (std::ranges::find(choices, value) == choices.end()) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("{}: '{}' is none of {}", name, value, fmt::join(choices, ", "))
    );
  }
  return {};
}

Status check_kerberos_name(std::string_view name, std::string_view value) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@";
  return value.empty() || value.starts_with('-') ||
                 value.find_first_not_of(kAllowed) != std::string_view::npos
             ? fail(
                   Errc::kInvalidRequest,
                   fmt::format("{} has letters, digits, '.', '_', '-', '/' and '@'", name)
               )
             : Status();
}

KafkaSettings basic_settings(std::string_view acks, std::chrono::milliseconds timeout) {
  const bool all = acks.empty() || acks == "all" || acks == "-1";
  KafkaSettings settings = {
      {"client.id", "iotcore"},
      {"acks", all ? "-1" : std::string(acks)},
      {"enable.idempotence", all ? "true" : "false"},
      {"delivery.timeout.ms", std::to_string(timeout.count())},
      {"socket.keepalive.enable", "true"},
      {"linger.ms", "0"},
      {"message.max.bytes", "1000000000"},  // the topic's limit decides
      {"queue.buffering.max.messages", "100000"},
      {"topic.metadata.propagation.max.ms", "5000"},
      {"reconnect.backoff.max.ms", "2000"},
      {"log_level", "0"}};
  return settings;
}

// The bytes of a key store: base64, as a secret gives it, or as it is.
std::string store_bytes(const std::string& text) {
  if (text.find(kPem) != std::string::npos) {
    return text;
  }
  std::string compact;
  std::ranges::copy_if(text, std::back_inserter(compact), [](char c) {
    return c != '\n' && c != '\r' && c != ' ';
  });
  return from_base64(compact).value_or(text);
}

Result<std::string> text_property(const json::object& properties, std::string_view name) {
  const json::value* found = properties.if_contains(name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

Result<net::Pkcs12> open_store(
    const std::string& bytes, const std::string& password, std::string_view name
) {
  if (bytes.starts_with(kJksMagic)) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format(
            "{} is a Java key store (JKS); convert it: keytool -importkeystore -srckeystore x.jks "
            "-destkeystore x.p12 -deststoretype PKCS12",
            name
        )
    );
  }
  Result<net::Pkcs12> opened = net::open_pkcs12(bytes, password);
  if (!opened) {
    return fail(Errc::kInvalidRequest, fmt::format("{}: {}", name, opened.error().message()));
  }
  return opened;
}

Status add_tls(const json::object& properties, KafkaSettings& settings) {
  IOTCORE_ASSIGN(const std::string trusted, text_property(properties, "ssl.truststore"));
  if (!trusted.empty()) {
    const std::string bytes = store_bytes(trusted);
    if (bytes.find(kPem) != std::string::npos) {
      settings["ssl.ca.pem"] = bytes;
    } else {
      IOTCORE_ASSIGN(
          const std::string password, text_property(properties, "ssl.truststore.password")
      );
      IOTCORE_ASSIGN(const net::Pkcs12 store, open_store(bytes, password, "ssl.truststore"));
      settings["ssl.ca.pem"] = store.certificate_pem + store.ca_pem;
    }
  }
  IOTCORE_ASSIGN(const std::string own, text_property(properties, "ssl.keystore"));
  if (!own.empty()) {
    const std::string bytes = store_bytes(own);
    IOTCORE_ASSIGN(const std::string key_password, text_property(properties, "ssl.key.password"));
    if (bytes.find(kPem) != std::string::npos) {
      settings["ssl.certificate.pem"] = bytes;
      settings["ssl.key.pem"] = bytes;
      if (!key_password.empty()) {
        settings["ssl.key.password"] = key_password;
      }
    } else {
      IOTCORE_ASSIGN(
          const std::string password, text_property(properties, "ssl.keystore.password")
      );
      IOTCORE_ASSIGN(const net::Pkcs12 store, open_store(bytes, password, "ssl.keystore"));
      if (store.key_pem.empty()) {
        return fail(Errc::kInvalidRequest, "ssl.keystore has no key in it");
      }
      settings["ssl.certificate.pem"] = store.certificate_pem + store.ca_pem;
      settings["ssl.key.pem"] = store.key_pem;
    }
  }
  return {};
}

Status add_sasl(const json::object& properties, KafkaSettings& settings) {
  IOTCORE_ASSIGN(const std::string mechanism, text_property(properties, "sasl.mechanism"));
  if (mechanism.empty()) {
    return fail(Errc::kInvalidRequest, "sasl.mechanism is missing");
  }
  settings["sasl.mechanism"] = mechanism;
  if (mechanism == "GSSAPI") {
    // The library would run kinit by a shell, with the principal in the command. Tickets are the operator's to get.
    settings["sasl.kerberos.min.time.before.relogin"] = "0";
    static constexpr auto kSame =
        std::to_array<std::string_view>({"sasl.kerberos.service.name", "sasl.kerberos.principal"});
    for (const std::string_view name : kSame) {
      if (const json::value* value = properties.if_contains(name); value != nullptr) {
        settings[std::string(name)] = std::string(value->get_string());
      }
    }
    return {};
  }
  const std::string prefix = mechanism == "PLAIN" ? "sasl.plain." : "sasl.scram.";
  IOTCORE_ASSIGN(settings["sasl.username"], text_property(properties, prefix + "username"));
  IOTCORE_ASSIGN(settings["sasl.password"], text_property(properties, prefix + "password"));
  if (settings["sasl.username"].empty()) {
    return fail(Errc::kInvalidRequest, prefix + "username is missing");
  }
  return {};
}

}  // namespace

bool is_secret_property(std::string_view name) {
  return name.ends_with(".password") || name == "ssl.keystore" || name == "sasl.kerberos.keytab";
}

bool is_client_property(std::string_view name) {
  return std::ranges::find(kProperties, name) != kProperties.end();
}

std::string_view nearest_client_property(std::string_view name) {
  return sql::nearest(name, kProperties);
}

Status check_client_property(std::string_view name, std::string_view value) {
  if (name == "acks") {
    return check_choice(name, value, kAcks);
  }
  if (name == "compression.type") {
    return check_choice(name, value, kCompressions);
  }
  if (name == "security.protocol") {
    return check_choice(name, value, kProtocols);
  }
  if (name == "sasl.mechanism") {
    if (value == "AWS_MSK_IAM") {
      return fail(
          Errc::kInvalidRequest, "sasl.mechanism AWS_MSK_IAM works with AWS's service only"
      );
    }
    return check_choice(name, value, kMechanisms);
  }
  if (name == "sasl.kerberos.principal" || name == "sasl.kerberos.service.name") {
    return check_kerberos_name(name, value);
  }
  return {};
}

Result<KafkaSettings> settings_of(const json::object& client_properties) {
  for (const auto& property : client_properties) {
    if (!property.value().is_string()) {
      return fail(Errc::kInvalidRequest, std::string(property.key()) + " must be a string");
    }
    IOTCORE_TRY(check_client_property(property.key(), property.value().get_string()));
  }
  IOTCORE_ASSIGN(const std::string acks, text_property(client_properties, "acks"));
  IOTCORE_ASSIGN(const std::string servers, text_property(client_properties, "bootstrap.servers"));
  IOTCORE_ASSIGN(std::string protocol, text_property(client_properties, "security.protocol"));
  if (servers.empty()) {
    return fail(Errc::kInvalidRequest, "bootstrap.servers is missing");
  }
  KafkaSettings settings = basic_settings(acks, kTimeout);
  settings["bootstrap.servers"] = servers;
  settings["security.protocol"] = protocol.empty() ? "PLAINTEXT" : protocol;
  IOTCORE_ASSIGN(
      const std::string compression, text_property(client_properties, "compression.type")
  );
  if (!compression.empty()) {
    settings["compression.type"] = compression;
  }
  if (protocol.ends_with("SSL")) {
    IOTCORE_TRY(add_tls(client_properties, settings));
  }
  if (protocol.starts_with("SASL")) {
    IOTCORE_TRY(add_sasl(client_properties, settings));
  }
  return settings;
}

KafkaOptions read_kafka(MemberReader& members) {
  KafkaOptions options;
  options.bootstrap = members.text("bootstrap");
  options.tls = read_tls(members);
  options.user = members.optional_text_or_secret("user");
  options.password = members.optional_text_or_secret("password");
  options.mechanism = members.choice("mechanism", kMechanisms, "");
  options.acks = members.choice("acks", kAcks, "all");
  options.compression = members.choice("compression", kCompressions, "none");
  options.timeout = read_timeout(members, "timeout", kTimeout);
  if (members.has("user") != members.has("password")) {
    members.fail_at(members.pointer(), "user and password go together");
  }
  if (members.has("mechanism") && !members.has("user") && options.mechanism != "GSSAPI") {
    members.fail_member("mechanism", "needs user and password");
  }
  return options;
}

Result<KafkaSettings> settings_of(const KafkaOptions& options) {
  KafkaSettings settings = basic_settings(options.acks, options.timeout);
  settings["bootstrap.servers"] = options.bootstrap;
  settings["compression.type"] = options.compression;
  const bool sasl = !options.user.empty() || options.mechanism == "GSSAPI";
  settings["security.protocol"] =
      std::string(sasl ? "SASL_" : "") + (options.tls.on ? "SSL" : "PLAINTEXT");
  if (sasl) {
    settings["sasl.mechanism"] = options.mechanism.empty() ? "PLAIN" : options.mechanism;
  }
  if (!options.user.empty()) {
    settings["sasl.username"] = options.user;
    settings["sasl.password"] = options.password;
  }
  if (options.tls.on) {
    IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options.tls));
    settings["enable.ssl.certificate.verification"] = tls.verify ? "true" : "false";
    if (!tls.ca_pem.empty()) {
      settings["ssl.ca.pem"] = tls.ca_pem;
    }
    if (!tls.certificate_pem.empty()) {
      settings["ssl.certificate.pem"] = tls.certificate_pem;
      settings["ssl.key.pem"] = tls.private_key_pem;
    }
  }
  return settings;
}

}  // namespace iotcore::rules::actions
