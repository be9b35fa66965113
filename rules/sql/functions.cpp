#include "rules/sql/functions.h"

#include "rules/sql/function_bodies.h"
#include "rules/sql/source_error.h"

#include <algorithm>
#include <array>

namespace iotcore::rules::sql {
namespace {

constexpr FunctionKind P = FunctionKind::kPure;
constexpr FunctionKind M = FunctionKind::kMessage;
constexpr FunctionKind R = FunctionKind::kRandom;
constexpr FunctionKind X = FunctionKind::kExternal;
constexpr bool k2015 = false;
constexpr bool k2016 = true;

Value evaluated_elsewhere(const Call& /*call*/) {
  return {};
}

// The one list of functions: calls, checks and the reference page come from it.
constexpr Function kFunctions[] = {
    // clang-format off
    {"abs", P, k2015, 1, 1, bodies::abs, "abs(x)", "the magnitude; an Int stays an Int"},
    {"acos", P, k2015, 1, 1, bodies::acos, "acos(x)", "arc cosine in radians; Undefined outside [-1, 1]"},
    {"asin", P, k2015, 1, 1, bodies::asin, "asin(x)", "arc sine in radians; Undefined outside [-1, 1]"},
    {"atan", P, k2015, 1, 1, bodies::atan, "atan(x)", "arc tangent in radians"},
    {"atan2", P, k2015, 2, 2, bodies::atan2, "atan2(y, x)", "the angle of the point (x, y) in radians"},
    {"bitand", P, k2015, 2, 2, bodies::bit_and, "bitand(a, b)", "bits set in both, of the numbers rounded down"},
    {"bitor", P, k2015, 2, 2, bodies::bit_or, "bitor(a, b)", "bits set in either, of the numbers rounded down"},
    {"bitxor", P, k2015, 2, 2, bodies::bit_xor, "bitxor(a, b)", "bits set in one of the two, of the numbers rounded down"},
    {"bitnot", P, k2015, 1, 1, bodies::bit_not, "bitnot(a)", "all bits turned over, two's complement: -14 for 13"},
    {"ceil", P, k2015, 1, 1, bodies::ceil, "ceil(x)", "the next Int upwards"},
    {"floor", P, k2015, 1, 1, bodies::floor, "floor(x)", "the next Int downwards"},
    {"cos", P, k2015, 1, 1, bodies::cos, "cos(x)", "cosine of radians"},
    {"cosh", P, k2015, 1, 1, bodies::cosh, "cosh(x)", "hyperbolic cosine"},
    {"sin", P, k2015, 1, 1, bodies::sin, "sin(x)", "sine of radians"},
    {"sinh", P, k2015, 1, 1, bodies::sinh, "sinh(x)", "hyperbolic sine"},
    {"tan", P, k2015, 1, 1, bodies::tan, "tan(x)", "tangent of radians"},
    {"tanh", P, k2015, 1, 1, bodies::tanh, "tanh(x)", "hyperbolic tangent"},
    {"exp", P, k2015, 1, 1, bodies::exp, "exp(x)", "e to the power of x"},
    {"ln", P, k2015, 1, 1, bodies::ln, "ln(x)", "natural logarithm; Undefined for 0 and below"},
    {"log", P, k2015, 1, 1, bodies::log, "log(x)", "logarithm to the base 10; Undefined for 0 and below"},
    {"mod", P, k2015, 2, 2, bodies::mod, "mod(a, b)", "a % b: the remainder with the sign of a"},
    {"remainder", P, k2015, 2, 2, bodies::mod, "remainder(a, b)", "a % b: the remainder with the sign of a"},
    {"nanvl", P, k2015, 2, 2, bodies::nanvl, "nanvl(a, b)", "a, or b if a is Undefined or Null"},
    {"power", P, k2015, 2, 2, bodies::power, "power(a, b)", "a to the power of b"},
    {"sqrt", P, k2015, 1, 1, bodies::sqrt, "sqrt(x)", "square root; Undefined below 0"},
    {"rand", R, k2015, 0, 0, bodies::rand, "rand()", "a random Decimal from 0 to below 1"},
    {"round", P, k2015, 1, 1, bodies::round, "round(x)", "the nearest Int, halves away from zero"},
    {"sign", P, k2015, 1, 1, bodies::sign, "sign(x)", "-1, 0 or 1"},
    {"trunc", P, k2015, 2, 2, bodies::trunc, "trunc(x, n)", "x cut behind n decimal places"},

    {"chr", P, k2015, 1, 1, bodies::chr, "chr(n)", "the ASCII character of that code"},
    {"concat", P, k2015, 0, kAnyNumber, bodies::concat, "concat(a, …)", "the texts joined; with an Array among them, one Array of all"},
    {"startswith", P, k2015, 2, 2, bodies::startswith, "startswith(s, prefix)", "whether s begins with prefix"},
    {"endswith", P, k2015, 2, 2, bodies::endswith, "endswith(s, suffix)", "whether s ends with suffix"},
    {"indexof", P, k2016, 2, 2, bodies::indexof, "indexof(s, part)", "where part first stands in s, from 0; -1 if nowhere"},
    {"length", P, k2016, 1, 1, bodies::length, "length(s)", "the number of characters (UTF-16 units)"},
    {"numbytes", P, k2016, 1, 1, bodies::numbytes, "numbytes(s)", "the number of bytes in UTF-8"},
    {"lower", P, k2015, 1, 1, bodies::lower, "lower(s)", "in lower case"},
    {"upper", P, k2015, 1, 1, bodies::upper, "upper(s)", "in upper case"},
    {"lpad", P, k2015, 2, 2, bodies::lpad, "lpad(s, n)", "s with n more spaces before it"},
    {"rpad", P, k2015, 2, 2, bodies::rpad, "rpad(s, n)", "s with n more spaces behind it"},
    {"ltrim", P, k2015, 1, 1, bodies::ltrim, "ltrim(s)", "s without spaces and tabs at its beginning"},
    {"rtrim", P, k2015, 1, 1, bodies::rtrim, "rtrim(s)", "s without spaces and tabs at its end"},
    {"trim", P, k2015, 1, 1, bodies::trim, "trim(s)", "s without white space at both ends"},
    {"replace", P, k2015, 3, 3, bodies::replace, "replace(s, from, to)", "every occurrence of a text replaced"},
    {"substring", P, k2015, 2, 3, bodies::substring, "substring(s, i [, j])", "the characters from i to before j, counted from 0"},
    {"regexp_matches", P, k2015, 2, 2, bodies::regexp_matches, "regexp_matches(s, re)", "whether the expression is found anywhere in s"},
    {"regexp_replace", P, k2015, 3, 3, bodies::regexp_replace, "regexp_replace(s, re, to)", "every match replaced; $1 is the first group"},
    {"regexp_substr", P, k2015, 2, 2, bodies::regexp_substr, "regexp_substr(s, re)", "the first match"},

    {"md2", P, k2015, 1, 1, bodies::md2, "md2(s)", "digest in lower-case hex"},
    {"md5", P, k2015, 1, 1, bodies::md5, "md5(s)", "digest in lower-case hex"},
    {"sha1", P, k2015, 1, 1, bodies::sha1, "sha1(s)", "digest in lower-case hex"},
    {"sha224", P, k2015, 1, 1, bodies::sha224, "sha224(s)", "digest in lower-case hex"},
    {"sha256", P, k2015, 1, 1, bodies::sha256, "sha256(s)", "digest in lower-case hex"},
    {"sha384", P, k2015, 1, 1, bodies::sha384, "sha384(s)", "digest in lower-case hex"},
    {"sha512", P, k2015, 1, 1, bodies::sha512, "sha512(s)", "digest in lower-case hex"},
    {"encode", M, k2016, 2, 2, bodies::encode, "encode(v, 'base64')", "a text or, of *, the payload's bytes in base64"},
    {"decode", M, k2016, 2, 6, bodies::decode, "decode(v, 'base64')", "the JSON value or text behind base64; Null if it is not base64"},

    {"get", P, k2015, 2, 2, bodies::get, "get(c, k)", "the element, character or member k of c"},
    {"get_or_default", FunctionKind::kLazy, k2016, 1, 2, evaluated_elsewhere, "get_or_default(e [, d])", "e, or d if e is Undefined, Null or fails"},
    {"isnull", P, k2015, 1, 1, bodies::is_null, "isNull(v)", "whether v is Null"},
    {"isundefined", P, k2016, 1, 1, bodies::is_undefined, "isUndefined(v)", "whether v has no value"},
    {"transform", P, k2016, 3, 3, bodies::transform, "transform('enrichArray', o, a)", "every Object of a with the members of o added"},

    {"timestamp", M, k2015, 0, 0, bodies::timestamp, "timestamp()", "milliseconds since 1970 at which the message came"},
    {"parse_time", P, k2016, 2, 3, bodies::parse_time, "parse_time(pattern, ms [, zone])", "a time as text, by Joda-Time pattern; zone UTC if not given"},
    {"time_to_epoch", P, k2016, 2, 2, bodies::time_to_epoch, "time_to_epoch(text, pattern)", "a text as milliseconds since 1970, by java.time pattern"},

    {"topic", M, k2015, 0, 1, bodies::topic, "topic([n])", "the topic, or its n-th level counted from 1"},
    {"clientid", M, k2015, 0, 0, bodies::client_id, "clientid()", "the publisher's client id; n/a if it did not use MQTT"},
    {"principal", M, k2015, 0, 0, bodies::principal, "principal()", "the publisher's certificate id or role session"},
    {"accountid", M, k2015, 0, 0, bodies::account_id, "accountid()", "the account, 12 digits"},
    {"sourceip", M, k2016, 0, 0, bodies::source_ip, "sourceip()", "the publisher's address"},
    {"traceid", M, k2015, 0, 0, bodies::trace_id, "traceid()", "the message's trace id, as in logs"},
    {"newuuid", R, k2015, 0, 0, bodies::new_uuid, "newuuid()", "a new random UUID at each call"},
    {"sql_version", M, k2015, 0, 0, bodies::sql_version, "sql_version()", "the rule's version of this dialect"},
    {"get_mqtt_property", M, k2016, 1, 1, bodies::get_mqtt_property, "get_mqtt_property(name)", "content_type, response_topic, format_indicator or correlation_data of an MQTT 5 message"},
    {"get_user_properties", M, k2016, 0, 1, bodies::get_user_properties, "get_user_properties([key])", "the values of a user property, or all of them"},

    {"aws_lambda", X, k2015, 2, 2, bodies::aws_lambda, "aws_lambda(arn, json)", "what the function answers"},
    {"get_thing_shadow", X, k2016, 2, 3, bodies::get_thing_shadow, "get_thing_shadow(thing [, shadow], role)", "the thing's shadow document"},
    {"get_dynamodb", X, k2016, 4, 6, bodies::get_dynamodb, "get_dynamodb(table, pk, v [, sk, v2], role)", "the item of a table; once in a statement"},
    {"get_secret", X, k2015, 3, 4, bodies::get_secret, "get_secret(id, 'SecretString' or 'SecretBinary' [, key], role)", "a secret"},
    {"get_registry_data", X, k2016, 3, 3, bodies::get_registry_data, "get_registry_data('DescribeThing' or 'ListThingGroupsForThing', thing, role)", "what the registry knows of a thing"},
    {"machinelearning_predict", X, k2015, 3, 3, bodies::machinelearning_predict, "machinelearning_predict(model, role, record)", "what a model predicts"},
    // clang-format on
};

static_assert(std::size(kFunctions) < 256, "Node::detail holds an index");

}  // namespace

std::span<const Function> functions() {
  return kFunctions;
}

const Function* find_function(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Function& f) {
        return f.name == name;
      });
  return found == std::end(kFunctions) ? nullptr : found;
}

std::string_view nearest_function(std::string_view name) {
  std::array<std::string_view, std::size(kFunctions)> names;
  std::transform(
      std::begin(kFunctions),
      std::end(kFunctions),
      names.begin(),
      [](const Function& f) { return f.name; }
  );
  return nearest(name, names);
}

}  // namespace iotcore::rules::sql
