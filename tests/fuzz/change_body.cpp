// The body of POST /v1/changes, from any local process.
#include "changes/change_json.h"
#include "tests/fuzz/fuzz.h"

namespace {

void parse(std::string_view body, neptune::ChangesFormat format) {
  using neptune::fuzz::must;
  const neptune::ChangeFacts facts{.accepted_ms = 1'767'323'045'678, .workspace_type = {}, .project = "ml-team/lab"};
  const auto changes = neptune::parse_changes(body, format, facts);
  if (!changes) {
    must(!changes.error().code.empty(), "a refusal has a code");
    must(changes.error().message.size() > 10, "a refusal is a sentence");
    return;
  }
  for (const auto& change : *changes) {
    must(!change.container.project.workspace.empty(), "an accepted change has a workspace");
    must(!change.payload.empty(), "an accepted change has a payload");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto body = neptune::fuzz::text(data, size);
  parse(body, neptune::ChangesFormat::json);
  parse(body, neptune::ChangesFormat::ndjson);
  return 0;
}
