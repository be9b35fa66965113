#pragma once

#include "base/check.h"
#include "base/crypto.h"
#include "base/executor.h"
#include "base/log.h"
#include "registry/registry.h"
#include "store/memory_store.h"

#include <catch2/catch.hpp>
#include <google/protobuf/text_format.h>

#include <deque>
#include <filesystem>
#include <string>

namespace iotcore::registry {

// Runs what it was given when it is told to, on the thread of the test.
class ManualExecutor final : public Executor {
 public:
  void post(Function<void()> task) override { tasks_.push_back(std::move(task)); }

  void run() {
    while (!tasks_.empty()) {
      run_one();
    }
  }

  void run_one() {
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }

 private:
  std::deque<Function<void()>> tasks_;
};

// Refusals are logged, and tests cause many.
inline const bool kQuiet = [] {
  configure_log(LogLevel::kError, LogFormat::kText);
  return true;
}();

inline const pki::CertificateAuthority& test_authority() {
  static const SystemClock kClock;
  static const pki::CertificateAuthority kAuthority = [] {
    const auto folder = std::filesystem::temp_directory_path() / new_uuid();
    std::filesystem::create_directory(folder);
    auto opened = pki::CertificateAuthority::open(folder, kClock);
    std::filesystem::remove_all(folder);
    IOTCORE_CHECK(opened.has_value());
    return std::move(*opened);
  }();
  return kAuthority;
}

inline constexpr const char* kArn = "arn:aws:iot:us-east-1:000000000000:";

// A registry over a store in memory, with a clock that stands still.
struct Fixture {
  explicit Fixture(Options options = fast_options())
      : registry(store, clock, std::move(options), test_authority(), pool) {}

  static Options fast_options() {
    Options options;
    options.key_type = pki::KeyType::kP256;  // RSA takes its time
    return options;
  }

  // A request in protobuf's text form.
  template <typename Request>
  static Request request(const std::string& text) {
    Request out;
    IOTCORE_CHECK(google::protobuf::TextFormat::ParseFromString(text, &out));
    return out;
  }

  auto create_thing(const std::string& text) {
    return registry.things().create(request<api::CreateThingRequest>(text));
  }

  auto update_thing(const std::string& text) {
    return registry.things().update(request<api::UpdateThingRequest>(text));
  }

  auto describe_thing(const std::string& name) {
    return registry.things().describe(
        request<api::DescribeThingRequest>("thing_name: '" + name + "'")
    );
  }

  auto delete_thing(const std::string& text) {
    return registry.things().remove(request<api::DeleteThingRequest>(text));
  }

  auto list_things(const std::string& text) {
    return registry.things().list(request<api::ListThingsRequest>(text));
  }

  auto attach_thing(
      const std::string& thing, const std::string& arn, const std::string& more = ""
  ) {
    return registry.thing_principals().attach(request<api::AttachThingPrincipalRequest>(
        "thing_name: '" + thing + "' principal: '" + arn + "' " + more
    ));
  }

  auto detach_thing(const std::string& thing, const std::string& arn) {
    return registry.thing_principals().detach(request<api::DetachThingPrincipalRequest>(
        "thing_name: '" + thing + "' principal: '" + arn + "'"
    ));
  }

  api::CreateKeysAndCertificateResponse certificate(bool active = true) {
    api::CreateKeysAndCertificateRequest create;
    create.set_set_as_active(active);
    return registry.certificates().create_keys(create).value();
  }

  auto set_status(const std::string& id, const std::string& status) {
    return registry.certificates().update(request<api::UpdateCertificateRequest>(
        "certificate_id: '" + id + "' new_status: '" + status + "'"
    ));
  }

  auto delete_certificate(const std::string& id, bool force = false) {
    return registry.certificates().remove(request<api::DeleteCertificateRequest>(
        "certificate_id: '" + id + "' force_delete: " + (force ? "true" : "false")
    ));
  }

  auto create_policy(const std::string& name, const std::string& document) {
    api::CreatePolicyRequest create;
    create.set_policy_name(name);
    create.set_policy_document(document);
    return registry.policies().create(create);
  }

  auto create_version(const std::string& name, const std::string& document, bool as_default) {
    api::CreatePolicyVersionRequest create;
    create.set_policy_name(name);
    create.set_policy_document(document);
    create.set_set_as_default(as_default);
    return registry.policies().create_version(create);
  }

  auto attach_policy(const std::string& name, const std::string& target) {
    return registry.policy_attachments().attach(
        request<api::AttachPolicyRequest>("policy_name: '" + name + "' target: '" + target + "'")
    );
  }

  auto detach_policy(const std::string& name, const std::string& target) {
    return registry.policy_attachments().detach(
        request<api::DetachPolicyRequest>("policy_name: '" + name + "' target: '" + target + "'")
    );
  }

  ManualClock clock{SystemClock().wall()};
  ManualExecutor pool;
  store::MemoryStore store;
  Registry registry;
};

template <typename T>
Errc code_of(const Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  return result.error().code();
}

// One statement that allows `action` on `resource`.
inline std::string allow(const std::string& action, const std::string& resource) {
  return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":")" + action +
         R"(","Resource":")" + resource + R"("}]})";
}

}  // namespace iotcore::registry
