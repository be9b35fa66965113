#include "registry/provisioning/provisioner.h"

#include "base/log.h"

namespace iotcore::registry::provisioning {
namespace {

tl::unexpected<Error> conflict(std::string what) {
  return fail(Errc::kConflictingResourceUpdate, std::move(what));
}

}  // namespace

// One apply(): what it has made, and how that is taken back.
struct Provisioner::Run {
  Provisioned made;
  std::vector<std::string> policy_names;
  bool thing_is_new = false;
  std::vector<std::function<Status()>> undo;

  std::string certificate_arn(const Account& account) const {
    return account.arn("cert", made.certificate_id);
  }
};

Status Provisioner::make_certificate(Run& run, const CertificateResource& certificate) {
  if (certificate.id) {
    api::DescribeCertificateRequest describe;
    describe.set_certificate_id(*certificate.id);
    IOTCORE_TRY(parts_.certificates.describe(describe));
    run.made.certificate_id = *certificate.id;
  } else if (certificate.signing_request) {
    api::CreateCertificateFromCsrRequest create;
    create.set_certificate_signing_request(*certificate.signing_request);
    IOTCORE_ASSIGN(const auto made, parts_.certificates.create_from_csr(create));
    run.made.certificate_id = made.certificate_id();
  } else if (certificate.ca_pem) {
    api::RegisterCertificateRequest request;
    request.set_certificate_pem(*certificate.pem);
    request.set_ca_certificate_pem(*certificate.ca_pem);
    IOTCORE_ASSIGN(const auto made, parts_.registration.register_of_ca(request));
    run.made.certificate_id = made.certificate_id();
  } else {
    api::RegisterCertificateWithoutCARequest request;
    request.set_certificate_pem(*certificate.pem);
    IOTCORE_ASSIGN(const auto made, parts_.registration.register_without_ca(request));
    run.made.certificate_id = made.certificate_id();
  }
  if (!certificate.id) {
    run.undo.emplace_back([this, id = run.made.certificate_id]() -> Status {
      api::DeleteCertificateRequest remove;
      remove.set_certificate_id(id);
      remove.set_force_delete(true);
      IOTCORE_TRY(parts_.certificates.remove(remove));
      return {};
    });
  }
  run.made.arns[certificate.logical_name] = run.certificate_arn(parts_.account);
  return {};
}

Status Provisioner::make_policies(Run& run, const std::vector<PolicyResource>& policies) {
  for (const PolicyResource& policy : policies) {
    if (policy.document) {
      api::CreatePolicyRequest create;
      create.set_policy_name(policy.name);
      create.set_policy_document(*policy.document);
      auto made = parts_.policies.create(create);
      if (made) {
        run.undo.emplace_back([this, name = policy.name]() -> Status {
          api::DeletePolicyRequest remove;
          remove.set_policy_name(name);
          IOTCORE_TRY(parts_.policies.remove(remove));
          return {};
        });
      } else if (made.error().code() != Errc::kAlreadyExists) {
        return fail(std::move(made).error());
      }
    } else {
      api::GetPolicyRequest get;
      get.set_policy_name(policy.name);
      IOTCORE_TRY(parts_.policies.get(get));
    }
    run.policy_names.push_back(policy.name);
    run.made.arns[policy.logical_name] = parts_.account.arn("policy", policy.name);
  }
  return {};
}

Status Provisioner::make_thing(Run& run, const ThingResource& thing) {
  api::DescribeThingRequest describe;
  describe.set_thing_name(thing.name);
  const auto present = parts_.things.describe(describe);
  if (!present && present.error().code() != Errc::kNotFound) {
    return fail(present.error());
  }
  bool replace_groups = true;
  bool join = thing.groups.has_value();
  if (present) {
    IOTCORE_TRY(change_thing(run, thing, *present));
    replace_groups = thing.groups_override == Override::kReplace;
    join = join && thing.groups_override != Override::kDoNothing;
    if (join && thing.groups_override == Override::kFail) {
      return conflict("The thing " + thing.name + " exists, and its groups may not be changed");
    }
  } else {
    api::CreateThingRequest create;
    create.set_thing_name(thing.name);
    if (thing.type) {
      create.set_thing_type_name(*thing.type);
    }
    if (thing.billing_group) {
      create.set_billing_group_name(*thing.billing_group);
    }
    if (thing.attributes) {
      create.mutable_attribute_payload()->mutable_attributes()->insert(
          thing.attributes->begin(), thing.attributes->end()
      );
    }
    IOTCORE_TRY(parts_.things.create(create));
    run.undo.emplace_back([this, name = thing.name]() -> Status {
      api::DeleteThingRequest remove;
      remove.set_thing_name(name);
      IOTCORE_TRY(parts_.things.remove(remove));
      return {};
    });
  }
  if (join && !thing.groups->empty()) {
    if (!join_groups_) {
      return fail(Errc::kInvalidRequest, "Thing groups are not supported in templates");
    }
    IOTCORE_ASSIGN(
        auto before,
        join_groups_(thing.name, *thing.groups, replace_groups ? Join::kOnly : Join::kToo)
    );
    run.undo.emplace_back([this, name = thing.name, before = std::move(before)]() -> Status {
      IOTCORE_TRY(join_groups_(name, before, Join::kOnly));
      return {};
    });
  }
  run.made.thing_name = thing.name;
  run.made.arns[thing.logical_name] = parts_.account.arn("thing", thing.name);
  return {};
}

Status Provisioner::change_thing(
    Run& run, const ThingResource& wanted, const api::DescribeThingResponse& present
) {
  api::UpdateThingRequest update;
  update.set_thing_name(wanted.name);
  bool changes = false;
  if (wanted.attributes && wanted.attributes_override != Override::kDoNothing) {
    if (wanted.attributes_override == Override::kFail) {
      return conflict(
          "The thing " + wanted.name + " exists, and its attributes may not be changed"
      );
    }
    api::AttributePayload& payload = *update.mutable_attribute_payload();
    payload.mutable_attributes()->insert(wanted.attributes->begin(), wanted.attributes->end());
    payload.set_merge(wanted.attributes_override == Override::kMerge);
    changes = true;
  }
  const bool other_type = wanted.type && present.thing_type_name() != *wanted.type;
  if (other_type && wanted.type_override != Override::kDoNothing) {
    if (wanted.type_override == Override::kFail) {
      return conflict("The thing " + wanted.name + " exists, and its type may not be changed");
    }
    update.set_thing_type_name(*wanted.type);
    changes = true;
  }
  if (!changes) {
    return {};
  }
  // Both ways as it was seen: nobody else's change gets lost between.
  update.set_expected_version(present.version());
  if (const auto done = parts_.things.update(update); !done) {
    return done.error().code() == Errc::kVersionConflict
               ? conflict("The thing " + wanted.name + " is being changed by somebody else")
               : fail(done.error());
  }
  api::UpdateThingRequest back;
  back.set_thing_name(wanted.name);
  back.set_expected_version(present.version() + 1);
  if (update.has_attribute_payload()) {
    back.mutable_attribute_payload()->mutable_attributes()->insert(
        present.attributes().begin(), present.attributes().end()
    );
  }
  if (update.has_thing_type_name() && present.has_thing_type_name()) {
    back.set_thing_type_name(present.thing_type_name());
  } else if (update.has_thing_type_name()) {
    back.set_remove_thing_type(true);
  }
  run.undo.emplace_back([this, back = std::move(back)]() -> Status {
    IOTCORE_TRY(parts_.things.update(back));
    return {};
  });
  return {};
}

Status Provisioner::attach_thing(Run& run, const std::string& thing, bool exclusive) {
  const std::string arn = run.certificate_arn(parts_.account);
  IOTCORE_ASSIGN(const auto before, parts_.thing_principals.find(thing, arn));
  if (before && before->exclusive() == exclusive) {
    return {};
  }
  const auto attach = [this, thing, arn](bool exclusively) -> Status {
    api::AttachThingPrincipalRequest request;
    request.set_thing_name(thing);
    request.set_principal(arn);
    request.set_thing_principal_type(exclusively ? "EXCLUSIVE_THING" : "NON_EXCLUSIVE_THING");
    IOTCORE_TRY(parts_.thing_principals.attach(request));
    return {};
  };
  IOTCORE_TRY(attach(exclusive));
  run.undo.emplace_back([this, thing, arn, attach, before]() -> Status {
    if (before) {
      return attach(before->exclusive());
    }
    api::DetachThingPrincipalRequest detach;
    detach.set_thing_name(thing);
    detach.set_principal(arn);
    IOTCORE_TRY(parts_.thing_principals.detach(detach));
    return {};
  });
  return {};
}

Status Provisioner::attach_policy(Run& run, const std::string& policy) {
  const std::string arn = run.certificate_arn(parts_.account);
  IOTCORE_ASSIGN(const bool attached, parts_.attachments.is_attached(policy, arn));
  if (attached) {
    return {};
  }
  api::AttachPolicyRequest attach;
  attach.set_policy_name(policy);
  attach.set_target(arn);
  IOTCORE_TRY(parts_.attachments.attach(attach));
  run.undo.emplace_back([this, policy, arn]() -> Status {
    api::DetachPolicyRequest detach;
    detach.set_policy_name(policy);
    detach.set_target(arn);
    IOTCORE_TRY(parts_.attachments.detach(detach));
    return {};
  });
  return {};
}

Status Provisioner::set_status(Run& run, const CertificateResource& certificate) {
  api::DescribeCertificateRequest describe;
  describe.set_certificate_id(run.made.certificate_id);
  IOTCORE_ASSIGN(const auto present, parts_.certificates.describe(describe));
  const std::string& status = present.certificate_description().status();
  const std::string wanted = certificate.active ? "ACTIVE" : "INACTIVE";
  const bool settled = certificate.id && status != "PENDING_ACTIVATION";
  if (status == wanted || (settled && certificate.status_override == Override::kDoNothing)) {
    return {};
  }
  if (settled && certificate.status_override == Override::kFail) {
    return conflict("The certificate " + run.made.certificate_id + " is " + status);
  }
  api::UpdateCertificateRequest update;
  update.set_certificate_id(run.made.certificate_id);
  update.set_new_status(wanted);
  IOTCORE_TRY(parts_.certificates.update(update));
  return {};
}

Status Provisioner::run_all(Run& run, const Resources& resources) {
  IOTCORE_TRY(make_certificate(run, resources.certificate));
  IOTCORE_TRY(make_policies(run, resources.policies));
  if (resources.thing) {
    IOTCORE_TRY(make_thing(run, *resources.thing));
  }
  if (resources.thing) {
    IOTCORE_TRY(attach_thing(run, resources.thing->name, resources.certificate.exclusive));
  }
  for (const std::string& policy : run.policy_names) {
    IOTCORE_TRY(attach_policy(run, policy));
  }
  return set_status(run, resources.certificate);
}

Result<Provisioned> Provisioner::apply(const Resources& resources) {
  Run run;
  if (auto done = run_all(run, resources); !done) {
    for (auto undo = run.undo.rbegin(); undo != run.undo.rend(); ++undo) {
      if (const Status undone = (*undo)(); !undone) {
        log(LogLevel::kWarn, "provisioning.not_undone", {{"why", undone.error().message()}});
      }
    }
    return fail(std::move(done).error());
  }
  return std::move(run.made);
}

}  // namespace iotcore::registry::provisioning
