// How SELECT, of the statement and of subqueries, makes a value out of its items.
#include "base/crypto.h"
#include "rules/sql/evaluator.h"

#include <algorithm>

namespace iotcore::rules::sql {

Value Evaluator::select(const ProgramData& code, const Selection& selection, const Value* current) {
  if (selection.only_star) {
    return current_value(current);
  }
  const auto item_value = [&](NodeIndex item) {
    const bool is_result = &selection == &rule_.select;
    return is_result && withholds(code, item) ? string(withheld(code, item))
                                              : eval(code, item, current);
  };
  if (selection.is_value) {
    return item_value(selection.items.front());
  }
  const std::size_t count = selection.items.size();
  Value* const items = arena_.array<Value>(count);
  if (items == nullptr) {
    return {};
  }
  bool has_star = false;
  for (std::size_t i = 0; i < count; ++i) {
    const NodeIndex item = selection.items[i];
    has_star = has_star || item == Selection::kStar;
    new (items + i) Value(item == Selection::kStar ? Value() : item_value(item));
  }
  Placed placed = place(selection, 0, {items, count});
  if (placed.value.is_undefined()) {
    placed.value = Value::object({});
  }
  return has_star ? merge(current_value(current), placed.value) : placed.value;
}

Evaluator::Placed Evaluator::place(
    const Selection& selection, std::size_t at, std::span<const Value> items
) {
  const Place& here = selection.places[at];
  Placed own;
  for (const std::uint16_t item : here.items) {
    if (!items[item].is_undefined()) {
      own = {items[item], item};
    }
  }
  if (here.children.empty()) {
    return own;
  }
  Member* const members = arena_.array<Member>(here.children.size());
  if (members == nullptr) {
    return {};
  }
  std::size_t count = 0;
  int last = -1;
  for (const std::uint16_t child : here.children) {
    const Placed inner = place(selection, child, items);
    if (inner.last_item >= 0) {
      new (members + count++) Member{selection.places[child].key, inner.value};
      last = std::max(last, inner.last_item);
    }
  }
  return last > own.last_item ? Placed{Value::object({members, count}), last} : own;
}

// SELECT *, items: the items take the place of members of their name and stand behind the others.
Value Evaluator::merge(const Value& star, const Value& items) {
  const std::span<const Member> explicit_members = items.members();
  std::vector<Member> members;
  const auto is_replaced = [&](std::string_view key) {
    return std::any_of(explicit_members.begin(), explicit_members.end(), [&](const Member& member) {
      return member.key == key;
    });
  };
  if (star.kind() == Kind::kObject) {
    members.reserve(values_.size(star) + explicit_members.size());
    for_each_member(values_, star, [&](std::string_view key, const Value& value) {
      if (!is_replaced(key)) {
        members.push_back({key, value});
      }
    });
  } else if (!is_replaced("payload")) {
    if (star.kind() == Kind::kBytes && !star.text().empty()) {
      members.push_back({"payload", string(to_base64(star.text()))});
    } else if (star.kind() == Kind::kArray) {
      members.push_back({"payload", star});
    }
  }
  members.insert(members.end(), explicit_members.begin(), explicit_members.end());
  return values_.object(members);
}

std::optional<Value> Evaluator::query_row(
    const ProgramData& code, const QueryCode& query, const Value& element
) {
  if (query.where != kNoNode && !eval(code, query.where, &element).is_true()) {
    return std::nullopt;
  }
  return select(code, query.select, &element);
}

Value Evaluator::subquery(const ProgramData& code, const QueryCode& query, const Value* current) {
  std::vector<Value> rows;
  const auto take = [&](const Value& element) {
    if (!spend()) {
      return;
    }
    const std::optional<Value> row = query_row(code, query, element);
    if (row && !row->is_undefined()) {
      rows.push_back(*row);
    }
  };
  if (query.source_is_star) {
    take(current_value(current));
    return values_.array(rows);
  }
  const Value source = eval(code, query.source, current);
  if (source.kind() == Kind::kObject) {
    return query_row(code, query, source).value_or(Value());
  }
  if (source.kind() != Kind::kArray) {
    return {};
  }
  for_each_element(source, [&](const Value& element) { take(values_.resolve(element)); });
  return values_.array(rows);
}

Value Evaluator::exists(const ProgramData& code, const Node& node, const Value* current) {
  const Value found = subquery(code, code.queries[node.a], current);
  if (found.kind() == Kind::kArray) {
    return Value::boolean(values_.size(found) > 0);
  }
  return Value::boolean(!found.is_undefined());
}

}  // namespace iotcore::rules::sql
