#pragma once

#include "rules/sql/functions.h"

// The bodies that the table in functions.cpp names.
namespace iotcore::rules::sql::bodies {

// Numbers.
Value abs(const Call& call);
Value acos(const Call& call);
Value asin(const Call& call);
Value atan(const Call& call);
Value atan2(const Call& call);
Value bit_and(const Call& call);
Value bit_or(const Call& call);
Value bit_xor(const Call& call);
Value bit_not(const Call& call);
Value ceil(const Call& call);
Value floor(const Call& call);
Value cos(const Call& call);
Value cosh(const Call& call);
Value sin(const Call& call);
Value sinh(const Call& call);
Value tan(const Call& call);
Value tanh(const Call& call);
Value exp(const Call& call);
Value ln(const Call& call);
Value log(const Call& call);
Value mod(const Call& call);
Value nanvl(const Call& call);
Value power(const Call& call);
Value sqrt(const Call& call);
Value rand(const Call& call);
Value round(const Call& call);
Value sign(const Call& call);
Value trunc(const Call& call);

// Text.
Value chr(const Call& call);
Value concat(const Call& call);
Value startswith(const Call& call);
Value endswith(const Call& call);
Value indexof(const Call& call);
Value length(const Call& call);
Value numbytes(const Call& call);
Value lower(const Call& call);
Value upper(const Call& call);
Value lpad(const Call& call);
Value rpad(const Call& call);
Value ltrim(const Call& call);
Value rtrim(const Call& call);
Value trim(const Call& call);
Value replace(const Call& call);
Value substring(const Call& call);
Value regexp_matches(const Call& call);
Value regexp_replace(const Call& call);
Value regexp_substr(const Call& call);

// Digests and encodings.
Value md2(const Call& call);
Value md5(const Call& call);
Value sha1(const Call& call);
Value sha224(const Call& call);
Value sha256(const Call& call);
Value sha384(const Call& call);
Value sha512(const Call& call);
Value encode(const Call& call);
Value decode(const Call& call);

// Values.
Value get(const Call& call);
Value is_null(const Call& call);
Value is_undefined(const Call& call);
Value transform(const Call& call);

// Time.
Value timestamp(const Call& call);
Value parse_time(const Call& call);
Value time_to_epoch(const Call& call);

// Message and account.
Value topic(const Call& call);
Value client_id(const Call& call);
Value principal(const Call& call);
Value account_id(const Call& call);
Value source_ip(const Call& call);
Value trace_id(const Call& call);
Value new_uuid(const Call& call);
Value sql_version(const Call& call);
Value get_mqtt_property(const Call& call);
Value get_user_properties(const Call& call);

// External.
Value aws_lambda(const Call& call);
Value get_thing_shadow(const Call& call);
Value get_dynamodb(const Call& call);
Value get_secret(const Call& call);
Value get_registry_data(const Call& call);
Value machinelearning_predict(const Call& call);

}  // namespace iotcore::rules::sql::bodies
