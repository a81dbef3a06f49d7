#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/sandbox/containers.h"

namespace neptune::sandbox {

/// What the API tells of a container: what the server itself knows of it, then what was logged.
class Attributes {
 public:
  explicit Attributes(const Container& container);

  /// Null: there is none.
  const Field* find(const std::string& path) const;
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [path, field] : own_) visit(path, field);
    for (const auto& [path, field] : container_.fields) visit(path, field);
  }

 private:
  const Container& container_;
  std::vector<std::pair<std::string, Field>> own_;
};

}  // namespace neptune::sandbox
