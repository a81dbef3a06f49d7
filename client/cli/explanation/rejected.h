#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/explanation.h"
#include "client/lib/types.h"

/// What was refused for good, or thrown away, and is kept.
namespace neptune::cli {

/// Why a change is not on the server: in a sentence.
std::string rejection(const api::Rejected& one);
/// The reason, the server's code, and what that means.
std::string refusal(const api::Rejected& one);
/// Without `id`, for several.
std::string retry_or_discard(std::optional<std::int64_t> id = {});

Explanation explain_rejected(const api::Rejected& one);
/// One heading for all of them; none for none.
std::optional<Explanation> explain_rejected(const std::vector<const api::Rejected*>& list);

}  // namespace neptune::cli
