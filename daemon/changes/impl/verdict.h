#pragma once

#include <optional>
#include <string>
#include <utility>

#include "changes/change_json.h"

namespace neptune::changes {

/// What the reading of one change comes to. Readers go on after a refusal with harmless values, so that they need not
/// look at each step; the first refusal stands.
class Verdict {
 public:
  bool ok() const { return !refusal_; }

  void refuse(std::string code, std::string message, std::string field, Refusal::Kind kind = Refusal::Kind::invalid) {
    if (!refusal_) refusal_ = Refusal{kind, std::move(code), std::move(message), std::move(field)};
  }

  const std::optional<Refusal>& refusal() const { return refusal_; }

 private:
  std::optional<Refusal> refusal_;
};

}  // namespace neptune::changes
