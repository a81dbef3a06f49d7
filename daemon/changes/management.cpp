#include "changes/management.h"

#include <fmt/format.h>

#include "changes/impl/management_json.h"
#include "changes/impl/stored.h"

namespace neptune {

Result<Management> read_management(std::string_view payload, WorkspaceType type) {
  auto stored = changes::read_stored(payload);
  if (!stored) return std::unexpected(stored.error());
  changes::Verdict verdict;
  const ChangeFacts facts{.accepted_ms = 0, .workspace_type = [type](std::string_view) { return type; }};
  changes::Fields fields(stored->json, "", verdict);
  auto management = changes::read_management(stored->kind, fields, facts);
  // Known since it was accepted, and no fault of the queue's.
  if (!verdict.ok() && verdict.refusal()->code == changes::individual_workspace)
    return fail(verdict.refusal()->code, verdict.refusal()->message);
  if (!verdict.ok()) return changes::unreadable(*verdict.refusal());
  if (!management)
    return fail("not_management", fmt::format("A queued {} is no management change; this is a defect of the daemon, "
                                              "please report it.",
                                              name(stored->kind)));
  return std::move(*management);
}

}  // namespace neptune
