#include "client/lib/tidy.h"

#include "sources/removal.h"

namespace neptune::client {

void remove_yours(api::TidyReply& found, bool dry_run) {
  for (auto& item : found.found) {
    if (item.action != "yours") continue;
    item.action = "removable";
    if (dry_run) continue;  // what is left was told
    const sources::Removal removal{
        .kind = item.kind == "run-log" ? sources::RemovalKind::run_log : sources::RemovalKind::client_dir,
        .directory = item.path,
        .fingerprint = item.fingerprint,
        .files = item.files};
    const auto removed = sources::remove_own(removal);
    item.action = removed ? "removed" : "kept";
    if (removed) continue;
    item.why = removed.error().message;
    item.left.clear();
  }
}

}  // namespace neptune::client
