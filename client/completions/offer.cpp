#include <algorithm>
#include <array>

#include "client/completions/completions.h"

namespace neptune::completions {

namespace {

struct Known {
  std::string_view name;
  Offer offer;
};

// By the names of arguments, which mean the same with every verb.
constexpr std::array known{
    Known{"SCOPE", Offer::scopes},    Known{"PROJECT", Offer::projects}, Known{"--project", Offer::scopes},
    Known{"RUN", Offer::runs},        Known{"WHAT", Offer::names},       Known{"--run", Offer::runs},
    Known{"--fork-run", Offer::runs}, Known{"--socket", Offer::files},   Known{"--file", Offer::files},
    Known{"FILE", Offer::files},      Known{"PATH", Offer::files},       Known{"--config", Offer::files},
    Known{"--into", Offer::files},    Known{"SHELL", Offer::shells},
};

}  // namespace

Offer offer_for(const man::Argument& argument) {
  const auto& name = argument.names.back();
  const auto it = std::ranges::find(known, name, &Known::name);
  if (it != known.end()) return it->offer;
  return argument.value == "FILE" ? Offer::files : Offer::nothing;
}

std::string_view asked(Offer offer) {
  switch (offer) {
    case Offer::scopes:
      return "scopes";
    case Offer::projects:
      return "projects";
    case Offer::runs:
      return "runs";
    case Offer::names:
      return "names";
    case Offer::shells:
      return "shells";
    case Offer::nothing:
    case Offer::files:
      break;
  }
  return {};
}

}  // namespace neptune::completions
