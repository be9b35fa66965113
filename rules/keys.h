#pragma once

#include "store/keys.h"
#include "store/table.h"

#include <cstdint>
#include <string_view>

// The rows of the rules engine.
//
// table rules
//   r rule                     record.Rule
//   t file                     record.FileTargets
//   h destination id           record.RuleDestination
//   x rule                     digest of what a file says of a rule that the API has deleted
// table outbox
//   e                          u64: how often the outbox was opened, the upper part of sequences
//   i                          text: names this outbox for ever, for targets that deduplicate
//   c sink                     record.OutboxCursor
//   r sink sequence            record.OutboxRecord
//   m message rule             record.OutboxMessage
//   s message rule             record.OutboxFiring: the actions that could not be resolved, and those that are open
//   s message rule action      record.OutboxFiring: that this action has ended, and how
//   d rule sequence            record.DeadLetter
//   q queue                    u64: when it was made; queues of messages, the target of sqs actions
//   b queue sequence           u64 when it was sent, its id (36 bytes), its body
//   v sequence                 record.OutboxEvaluation
namespace iotcore::rules::keys {

using store::Key;

inline constexpr store::Table kRules = store::Table::kRules;
inline constexpr store::Table kOutbox = store::Table::kOutbox;

inline Key rules() {
  return Key('r');
}

inline Key rule(std::string_view name) {
  return Key('r').text(name);
}

inline Key taken_back() {
  return Key('x');
}

inline Key taken_back(std::string_view name) {
  return Key('x').text(name);
}

inline Key file_targets() {
  return Key('t');
}

inline Key targets_of_file(std::string_view file) {
  return Key('t').text(file);
}

inline Key epoch() {
  return Key('e');
}

inline Key outbox_id() {
  return Key('i');
}

inline Key cursors() {
  return Key('c');
}

inline Key cursor(std::string_view sink) {
  return Key('c').text(sink);
}

inline Key records_of_sink(std::string_view sink) {
  return Key('r').text(sink);
}

inline Key record(std::string_view sink, std::uint64_t sequence) {
  return Key('r').text(sink).u64(sequence);
}

inline Key message(std::string_view message_id, std::string_view rule) {
  return Key('m').text(message_id).text(rule);
}

inline Key firing(std::string_view message_id, std::string_view rule) {
  return Key('s').text(message_id).text(rule);
}

inline Key firing_end(std::string_view message_id, std::string_view rule, std::uint64_t action) {
  return Key('s').text(message_id).text(rule).u64(action);
}

inline Key evaluations() {
  return Key('v');
}

inline Key evaluation(std::uint64_t sequence) {
  return Key('v').u64(sequence);
}

inline Key dead_letters() {
  return Key('d');
}

inline Key dead_letters_of(std::string_view rule) {
  return Key('d').text(rule);
}

inline Key dead_letter(std::string_view rule, std::uint64_t sequence) {
  return Key('d').text(rule).u64(sequence);
}

inline Key destinations() {
  return Key('h');
}

inline Key destination(std::string_view id) {
  return Key('h').text(id);
}

inline Key queues() {
  return Key('q');
}

inline Key queue(std::string_view name) {
  return Key('q').text(name);
}

inline Key queue_messages(std::string_view queue) {
  return Key('b').text(queue);
}

inline Key queue_message(std::string_view queue, std::uint64_t sequence) {
  return Key('b').text(queue).u64(sequence);
}

}  // namespace iotcore::rules::keys
