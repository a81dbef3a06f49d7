#pragma once

#include <string>
#include <utility>

#include "changes/names.h"

namespace neptune::server {

/// A container that is written or read: by its name, or by the server's own id of it where that is known. A name may
/// read like the short id of one run and the custom id of another; an id is one container's.
struct Addressed {
  Addressed() = default;
  Addressed(ContainerName by_name) : name(std::move(by_name)) {}
  Addressed(ContainerName by_name, std::string by_id) : name(std::move(by_name)), id(std::move(by_id)) {}

  ContainerName name;
  std::string id;  ///< empty: the name counts
};

}  // namespace neptune::server
