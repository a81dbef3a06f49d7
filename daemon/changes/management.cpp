#include "changes/management.h"

#include <fmt/format.h>

#include "changes/impl/management_json.h"
#include "changes/impl/stored.h"

namespace neptune {

Result<Management> read_management(std::string_view payload) {
  auto stored = changes::read_stored(payload);
  if (!stored) return std::unexpected(stored.error());
  changes::Verdict verdict;
  changes::Fields fields(stored->json, "", verdict);
  auto management = changes::read_management(stored->kind, fields, ChangeFacts{});
  if (!verdict.ok()) return changes::unreadable(*verdict.refusal());
  if (!management)
    return fail("not_management", fmt::format("A queued {} is no management change; this is a defect of the daemon, "
                                              "please report it.",
                                              name(stored->kind)));
  return std::move(*management);
}

}  // namespace neptune
