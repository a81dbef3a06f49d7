#include "client/lib/modes.h"

#include "client/lib/time.h"
#include "support/sizes.h"

namespace neptune::api {

std::string for_as_long(const std::optional<std::string>& since, std::chrono::system_clock::time_point now) {
  const auto at = since ? parse_time(*since) : std::nullopt;
  return at ? " for " + age_text(std::chrono::duration_cast<std::chrono::seconds>(now - *at)) : std::string();
}

std::string hold_in_words(const std::string& name, const ScopeStatus& scope,
                          std::chrono::system_clock::time_point now) {
  const auto as_long = for_as_long(scope.held_since, now);
  return name + (as_long.empty() ? " is " : " has been ") + "held by " + scope.held_by.value_or("an operator") +
         as_long;
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
