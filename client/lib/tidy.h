#pragma once

#include "client/lib/types.h"

namespace neptune::client {

/// Of what the daemon found: removes each that only this user may remove ("yours"), after looking again, and writes
/// into it what became of it ("removed", or "kept" with the reason). A dry run removes nothing: such a one is
/// "removable".
void remove_yours(api::TidyReply& found, bool dry_run);

}  // namespace neptune::client
