#include "client/lib/modes.h"

namespace neptune::api {

std::string hold_in_words(const std::string& name, const std::optional<std::string>& reason,
                          const std::string& as_long) {
  return name + (as_long.empty() ? " is " : " has been ") + reason.value_or("held by an operator") + as_long;
}

std::string end_of_read_only(const std::string& scope) {
  const bool workspace = scope.find('/') == std::string::npos;
  return "It goes on by itself when the server takes writes again: free space in " + scope +
         (workspace ? ", or raise its limit." : ", raise its limit, or take it out of the archive.") +
         " `neptune-sync probe " + scope + "` asks the server now. Removals are sent meanwhile.";
}

std::string end_of_hold(const std::string& scope) {
  return "`neptune-sync release " + scope + "` lets it go; with --dry-run it first tells how much.";
}

}  // namespace neptune::api
