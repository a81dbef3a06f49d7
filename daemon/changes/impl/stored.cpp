#include "changes/impl/stored.h"

#include <fmt/format.h>

namespace neptune::changes {

Result<Stored> read_stored(std::string_view payload) {
  Json json;
  const auto end = read_json(payload, [&json](Json&& element) {
    json = std::move(element);
    return true;
  });
  if (!end) return unreadable(end.error());
  const auto* word = json.find("kind");
  const auto kind = word ? change_kind(word->text) : std::nullopt;
  if (!kind)
    return unreadable({Refusal::Kind::invalid, "unknown_kind", "It says no kind that this version knows.", "kind"});
  return Stored{*kind, std::move(json)};
}

std::unexpected<Error> unreadable(const Refusal& refusal) {
  return fail("unreadable_change", fmt::format("A queued change cannot be read back ({}): the queue was written by "
                                               "another version of the daemon, or is damaged. {}",
                                               refusal.code, refusal.message));
}

}  // namespace neptune::changes
