#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace iotcore::broker {

// A queue that costs nothing while it is empty (an empty std::deque holds a kilobyte, and there are many sessions).
template <typename T>
class Fifo {
 public:
  using Iterator = typename std::vector<T>::iterator;

  bool empty() const { return begin_ == items_.size(); }

  std::size_t size() const { return items_.size() - begin_; }

  T& front() { return items_[begin_]; }

  Iterator begin() { return items_.begin() + static_cast<std::ptrdiff_t>(begin_); }

  Iterator end() { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }

  void pop_front() {
    items_[begin_++] = T{};
    if (begin_ == items_.size()) {
      items_.clear();
      begin_ = 0;
    } else if (begin_ >= 64 && begin_ > items_.size() / 2) {
      items_.erase(items_.begin(), begin());
      begin_ = 0;
    }
  }

  void erase(Iterator at) { items_.erase(at); }

  // Gives its memory back, too.
  void clear() {
    items_ = {};
    begin_ = 0;
  }

 private:
  std::vector<T> items_;
  std::size_t begin_ = 0;
};

}  // namespace iotcore::broker
