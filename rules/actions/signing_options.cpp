#include "rules/actions/signing_options.h"

namespace iotcore::rules::actions {

SigningOptions read_signing(MemberReader& members) {
  SigningOptions options;
  options.credentials.access_key_id = members.optional_text_or_secret("accessKey");
  options.credentials.secret = members.optional_text_or_secret("secretKey");
  options.credentials.session_token = members.optional_text_or_secret("sessionToken");
  options.region = members.optional_text("region").value_or("us-east-1");
  if (members.has("accessKey") != members.has("secretKey")) {
    members.fail_at(members.pointer(), "accessKey and secretKey go together");
  }
  return options;
}

}  // namespace iotcore::rules::actions
