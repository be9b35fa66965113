#include "registry/policy/pattern.h"

#include "registry/policy/text.h"

namespace iotcore::registry::policy {
namespace {

void append_text(Pattern& pattern, std::string_view text) {
  if (text.empty()) {
    return;
  }
  if (pattern.empty() || pattern.back().kind != Part::Kind::kText) {
    pattern.push_back({Part::Kind::kText, {}});
  }
  pattern.back().text.append(text);
}

void append_wildcard(Pattern& pattern, Part::Kind kind) {
  if (kind != Part::Kind::kAnyRun || pattern.empty() || pattern.back().kind != kind) {
    pattern.push_back({kind, {}});
  }
}

struct Element {
  Part::Kind kind;
  std::string_view character;
};

std::vector<std::string_view> split_characters(std::string_view text) {
  std::vector<std::string_view> characters;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    while (end < text.size() && is_continuation(text[end])) {
      ++end;
    }
    characters.push_back(text.substr(at, end - at));
    at = end;
  }
  return characters;
}

std::vector<Element> elements_of(const Pattern& pattern) {
  std::vector<Element> elements;
  for (const Part& part : pattern) {
    if (part.kind != Part::Kind::kText) {
      elements.push_back({part.kind, {}});
      continue;
    }
    for (const std::string_view character : split_characters(part.text)) {
      elements.push_back({Part::Kind::kText, character});
    }
  }
  return elements;
}

}  // namespace

Pattern parse_pattern(std::string_view text, bool has_variables) {
  Pattern pattern;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '*' || c == '?') {
      append_wildcard(pattern, c == '*' ? Part::Kind::kAnyRun : Part::Kind::kAnyOne);
      ++at;
      continue;
    }
    const std::size_t close =
        has_variables && text.substr(at).starts_with("${") ? text.find('}', at) : text.npos;
    if (close == text.npos) {
      append_text(pattern, text.substr(at, 1));
      ++at;
      continue;
    }
    const std::string_view name = text.substr(at + 2, close - at - 2);
    if (name == "*" || name == "?" || name == "$") {
      append_text(pattern, name);
    } else {
      pattern.push_back({Part::Kind::kVariable, std::string(name)});
    }
    at = close + 1;
  }
  return pattern;
}

std::optional<Pattern> put_in_values(
    const Pattern& pattern, const Context& context, std::vector<std::string>& missing
) {
  Pattern result;
  bool complete = true;
  for (const Part& part : pattern) {
    if (part.kind == Part::Kind::kText) {
      append_text(result, part.text);
    } else if (part.kind != Part::Kind::kVariable) {
      append_wildcard(result, part.kind);
    } else if (const auto value = context.substitute(part.text)) {
      append_text(result, *value);
    } else {
      missing.push_back(part.text);
      complete = false;
    }
  }
  return complete ? std::optional(std::move(result)) : std::nullopt;
}

bool matches(const Pattern& pattern, std::string_view text) {
  const std::vector<Element> elements = elements_of(pattern);
  // reached[i]: the characters so far fit the first i elements.
  std::vector<bool> reached(elements.size() + 1, false);
  const auto pass_stars = [&] {
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (reached[i] && elements[i].kind == Part::Kind::kAnyRun) {
        reached[i + 1] = true;
      }
    }
  };
  reached[0] = true;
  pass_stars();
  for (const std::string_view character : split_characters(text)) {
    std::vector<bool> next(elements.size() + 1, false);
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (!reached[i]) {
        continue;
      }
      if (elements[i].kind == Part::Kind::kAnyRun) {
        next[i] = true;
      } else if (elements[i].kind == Part::Kind::kAnyOne || elements[i].character == character) {
        next[i + 1] = true;
      }
    }
    reached = std::move(next);
    pass_stars();
  }
  return reached.back();
}

std::string as_text(const Pattern& pattern) {
  std::string text;
  for (const Part& part : pattern) {
    switch (part.kind) {
      case Part::Kind::kText:
        text.append(part.text);
        break;
      case Part::Kind::kAnyRun:
        text.push_back('*');
        break;
      case Part::Kind::kAnyOne:
        text.push_back('?');
        break;
      case Part::Kind::kVariable:
        break;  // not after put_in_values()
    }
  }
  return text;
}

}  // namespace iotcore::registry::policy
