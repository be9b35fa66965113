#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace iotcore {

template <typename Signature>
class Function;

// A callable that is moved, never copied (std::move_only_function is C++23). Captures up to 48 bytes need no allocation.
template <typename R, typename... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)

  template <typename F>
    requires(!std::is_same_v<std::decay_t<F>, Function> && std::is_invocable_r_v<R, F&, Args...>)
  Function(F&& callable) {  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
    using Callable = std::decay_t<F>;
    if constexpr (sizeof(Callable) <= kInline && alignof(Callable) <= alignof(std::max_align_t) &&
                  std::is_nothrow_move_constructible_v<Callable>) {
      new (storage_) Callable(std::forward<F>(callable));
      ops_ = &kInlineOps<Callable>;
    } else {
      *reinterpret_cast<Callable**>(storage_) = new Callable(std::forward<F>(callable));
      ops_ = &kHeapOps<Callable>;
    }
  }

  Function(Function&& other) noexcept { take(other); }

  Function& operator=(Function&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }

  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  ~Function() { reset(); }

  explicit operator bool() const { return ops_ != nullptr; }

  R operator()(Args... args) { return ops_->call(storage_, std::forward<Args>(args)...); }

 private:
  static constexpr std::size_t kInline = 48;

  struct Ops {
    R (*call)(void*, Args&&...);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <typename F>
  static constexpr Ops kInlineOps = {
      [](void* self, Args&&... args) -> R {
        return (*static_cast<F*>(self))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept {
        new (to) F(std::move(*static_cast<F*>(from)));
        static_cast<F*>(from)->~F();
      },
      [](void* self) noexcept { static_cast<F*>(self)->~F(); },
  };

  template <typename F>
  static constexpr Ops kHeapOps = {
      [](void* self, Args&&... args) -> R {
        return (**static_cast<F**>(self))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept { *static_cast<F**>(to) = *static_cast<F**>(from); },
      [](void* self) noexcept { delete *static_cast<F**>(self); },
  };

  void reset() {
    if (ops_ != nullptr) {
      ops_->destroy(storage_);
      ops_ = nullptr;
    }
  }

  void take(Function& other) {
    if (other.ops_ != nullptr) {
      other.ops_->move(storage_, other.storage_);
      ops_ = std::exchange(other.ops_, nullptr);
    }
  }

  alignas(std::max_align_t) std::byte storage_[kInline];
  const Ops* ops_ = nullptr;
};

}  // namespace iotcore
