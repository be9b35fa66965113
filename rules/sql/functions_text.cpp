#include "rules/sql/function_bodies.h"
#include "rules/sql/unicode.h"

#include <algorithm>
#include <string>

namespace iotcore::rules::sql::bodies {
namespace {

constexpr std::int64_t kPaddingMax = 1000;
constexpr std::string_view kSpacesAndTabs = " \t";

std::optional<std::string_view> text_argument(const Call& call, std::size_t i) {
  return call.evaluator.text(call[i]);
}

// To Int, rounded down and brought between the bounds.
std::optional<std::int64_t> bounded_argument(
    const Call& call, std::size_t i, std::int64_t low, std::int64_t high
) {
  const std::optional<Decimal> d = call.values().to_floor(call[i]);
  if (!d) {
    return std::nullopt;
  }
  if (compare(*d, Decimal(low)) < 0) {
    return low;
  }
  return compare(*d, Decimal(high)) > 0 ? high : d->to_int64().value_or(high);
}

template <typename F>
Value compared(const Call& call, F f) {
  const std::optional<std::string_view> a = text_argument(call, 0);
  const std::optional<std::string_view> b = text_argument(call, 1);
  return a && b ? Value::boolean(f(*a, *b)) : Value();
}

template <typename F>
Value changed(const Call& call, F f) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  return s ? call.evaluator.string(f(*s)) : Value();
}

Value padded(const Call& call, bool before) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  const std::optional<std::int64_t> n = bounded_argument(call, 1, 0, kPaddingMax);
  if (!s || !n) {
    return {};
  }
  const std::string spaces(static_cast<std::size_t>(*n), ' ');
  return call.evaluator.string(before ? spaces + std::string(*s) : std::string(*s) + spaces);
}

}  // namespace

Value chr(const Call& call) {
  const std::optional<std::int64_t> n = bounded_argument(call, 0, -1, 128);
  if (!n || *n < 0 || *n > 127) {
    return {};
  }
  return call.evaluator.string(std::string(1, static_cast<char>(*n)));
}

namespace {

Value concat_arrays(const Call& call) {
  std::vector<Value> elements;
  for (const Value& argument : call.arguments) {
    if (argument.kind() == Kind::kArray) {
      for_each_element(argument, [&](const Value& element) { elements.push_back(element); });
    } else if (!argument.is_undefined()) {
      elements.push_back(argument);
    }
  }
  return call.values().array(elements);
}

}  // namespace

Value concat(const Call& call) {
  if (call.size() <= 1) {
    return call.size() == 0 ? Value() : call[0];
  }
  const auto has = [&](Kind kind) {
    return std::any_of(call.arguments.begin(), call.arguments.end(), [&](const Value& argument) {
      return argument.kind() == kind;
    });
  };
  if (has(Kind::kArray)) {
    return concat_arrays(call);
  }
  if (!has(Kind::kString)) {
    return {};
  }
  std::string joined;
  for (std::size_t i = 0; i < call.size(); ++i) {
    const std::optional<std::string_view> part = text_argument(call, i);
    if (!part) {
      return {};
    }
    joined.append(*part);
  }
  return call.evaluator.string(joined);
}

Value startswith(const Call& call) {
  return compared(call, [](std::string_view a, std::string_view b) { return a.starts_with(b); });
}

Value endswith(const Call& call) {
  return compared(call, [](std::string_view a, std::string_view b) { return a.ends_with(b); });
}

Value indexof(const Call& call) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  const std::optional<std::string_view> part = text_argument(call, 1);
  if (!s || !part) {
    return {};
  }
  const std::size_t at = s->find(*part);
  return Value::integer(
      at == std::string_view::npos ? -1 : static_cast<std::int64_t>(utf16_length(s->substr(0, at)))
  );
}

Value length(const Call& call) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  return s ? Value::integer(static_cast<std::int64_t>(utf16_length(*s))) : Value();
}

Value numbytes(const Call& call) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  return s ? Value::integer(static_cast<std::int64_t>(s->size())) : Value();
}

Value lower(const Call& call) {
  return changed(call, to_lower);
}

Value upper(const Call& call) {
  return changed(call, to_upper);
}

Value lpad(const Call& call) {
  return padded(call, true);
}

Value rpad(const Call& call) {
  return padded(call, false);
}

Value ltrim(const Call& call) {
  return changed(call, [](std::string_view s) {
    return s.substr(std::min(s.find_first_not_of(kSpacesAndTabs), s.size()));
  });
}

Value rtrim(const Call& call) {
  return changed(call, [](std::string_view s) {
    return s.substr(0, s.find_last_not_of(kSpacesAndTabs) + 1);
  });
}

Value trim(const Call& call) {
  return changed(call, trim_white_space);
}

Value replace(const Call& call) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  const std::optional<std::string_view> from = text_argument(call, 1);
  const std::optional<std::string_view> to = text_argument(call, 2);
  if (!s || !from || !to) {
    return {};
  }
  if (from->empty()) {
    return call[0].kind() == Kind::kString ? call[0] : Value::string(*s);
  }
  std::string out;
  std::size_t at = 0;
  for (std::size_t next = s->find(*from); next != std::string_view::npos;
       next = s->find(*from, at)) {
    out.append(*s, at, next - at);
    out.append(*to);
    at = next + from->size();
    if (out.size() > kTextMax) {
      return call.evaluator.exhaust("replace() makes a text that is too long");
    }
  }
  out.append(*s, at);
  return call.evaluator.string(out);
}

Value substring(const Call& call) {
  const std::optional<std::string_view> s = text_argument(call, 0);
  if (!s) {
    return {};
  }
  const auto size = static_cast<std::int64_t>(utf16_length(*s));
  const std::optional<std::int64_t> from = bounded_argument(call, 1, 0, size);
  const std::optional<std::int64_t> to =
      call.size() > 2 ? bounded_argument(call, 2, 0, size) : std::optional<std::int64_t>(size);
  if (!from || !to) {
    return {};
  }
  if (*from >= *to) {
    return Value::string("");
  }
  return call.evaluator.string(
      utf16_slice(*s, static_cast<std::size_t>(*from), static_cast<std::size_t>(*to))
  );
}

}  // namespace iotcore::rules::sql::bodies
