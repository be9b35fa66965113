#include "broker/message.h"

#include "base/memory_use.h"

#include <cstring>
#include <new>

namespace iotcore::broker {

Message::Ref Message::make(const PublishView& publish) {
  const std::size_t bytes =
      publish.topic.size() + publish.properties.size() + publish.payload.size();
  char* memory = static_cast<char*>(::operator new(sizeof(Message) + bytes));
  MemoryUse::add(static_cast<std::int64_t>(sizeof(Message) + bytes));
  auto* message = new (memory) Message(publish);
  char* at = memory + sizeof(Message);
  const auto copy_in = [&at](std::string_view& part) {
    if (!part.empty()) {
      std::memcpy(at, part.data(), part.size());
    }
    part = std::string_view(at, part.size());
    at += part.size();
  };
  copy_in(message->view_.topic);
  copy_in(message->view_.properties);
  copy_in(message->view_.payload);
  return Ref(message);
}

void Message::release() const {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    const std::size_t bytes =
        sizeof(Message) + view_.topic.size() + view_.properties.size() + view_.payload.size();
    MemoryUse::add(-static_cast<std::int64_t>(bytes));
    this->~Message();
    ::operator delete(const_cast<Message*>(this));
  }
}

}  // namespace iotcore::broker
