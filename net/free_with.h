#pragma once

namespace iotcore::net {

// A deleter for what a C library frees by a function: std::unique_ptr<X509, FreeWith<X509_free>>.
template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace iotcore::net
