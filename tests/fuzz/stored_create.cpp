// A stored operation of a run log: protobuf bytes from a file that any user may have written.
#include "changes/attributes.h"
#include "changes/wire.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto create = neptune::fuzz::text(data, size);
  if (const auto fork = neptune::wire::read_fork({"ml-team", "lab"}, create); fork && *fork)
    neptune::fuzz::must(!(*fork)->parent.project.workspace.empty(), "a parent has a workspace");
  (void)neptune::leaderboard_create(create);
  return 0;
}
