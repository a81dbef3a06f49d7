#pragma once

#include <string_view>

namespace neptune::api {

/// What the server means by a code it refused a change with, and what can be done: a sentence, or two. Empty for a code
/// that says nothing more than its reason does.
std::string_view meaning(std::string_view code);

}  // namespace neptune::api
