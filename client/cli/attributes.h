#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/values.h"
#include "client/cli/verb.h"

namespace neptune::cli {

/// What model update and project metadata can be told to change.
struct Attributes {
  std::vector<std::string> values, assign, append, insert, remove, erase, clear;
  std::optional<std::string> step;

  void add_to(Verb& verb);
  void put_into(ChangeText& change) const;
};

}  // namespace neptune::cli
