#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/metrics.h"
#include "registry/certificate_registration.h"
#include "registry/grants.h"
#include "registry/options.h"
#include "store/store.h"

#include <string>
#include <string_view>

namespace iotcore::registry {

// What is to happen with a certificate that has just been registered by itself: the template of its CA.
struct AutoProvisioning {
  const pki::Certificate& certificate;
  const record::CaCertificate& ca;
};

// Registers certificates when their devices first connect (JITR, auth.md section 3): those that an ACTIVE CA with automatic registration has signed.
// Where the CA has a template, that is run, too (JITP). Blocking; any thread.
class AutoRegistration {
 public:
  // Publishes an event on behalf of the client.
  using Publish = Function<void(std::string topic, std::string payload, std::string client_id)>;
  // Makes what the template says and the certificate ACTIVE. An error leaves it PENDING_ACTIVATION.
  using Provision = Function<Status(const AutoProvisioning&)>;

  AutoRegistration(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      CertificateRegistration& registration,
      Metrics& metrics
  );

  // Both before the first connection.
  void on_event(Publish publish) { publish_ = std::move(publish); }

  void on_template(Provision provision) { provision_ = std::move(provision); }

  // A device has come with a certificate that is not registered, or waits for its activation; parallel retries of one device end up with one
  // certificate. True: it has been activated, and may go on.
  bool on_connect(std::string_view certificate_der, const DeviceFacts& facts);

 private:
  Result<bool> try_connect(std::string_view certificate_der, const DeviceFacts& facts);
  Result<std::optional<RegisteredCa>> find_ca(const pki::Certificate& certificate, bool names_host);
  void publish_event(
      const std::string& id,
      const std::string& ca_id,
      const record::Certificate& record,
      std::string_view client_id
  );

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  CertificateRegistration& registration_;
  Counter& registered_;
  Counter& provisioned_;
  Counter& failed_;
  Publish publish_;
  Provision provision_;
};

}  // namespace iotcore::registry
