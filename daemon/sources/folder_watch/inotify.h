#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/descriptor.h"
#include "support/error.h"

namespace neptune::sources {

/// The kernel's file notifications, thinly. `watch` and `unwatch` may be called from any thread.
class Inotify {
 public:
  struct Event {
    int watch;           ///< -1: the queue overflowed
    std::uint32_t mask;  ///< IN_*
    std::string name;    ///< within the watched directory; empty: the directory itself
  };

  static Result<Inotify> open();

  /// Watches a directory; the same directory twice is one watch. "inotify_limit" when the user's limit is reached.
  Result<int> watch(const std::filesystem::path& directory, std::uint32_t mask);
  void unwatch(int watch);

  /// What is there now, without waiting.
  std::vector<Event> read();

  int descriptor() const { return fd_.get(); }

 private:
  explicit Inotify(Descriptor fd) : fd_(std::move(fd)) {}
  Descriptor fd_;
};

}  // namespace neptune::sources
