#pragma once

#include "changes/change.h"
#include "changes/impl/attributes_json.h"
#include "changes/impl/run_json.h"
#include "changes/management.h"

/// Which stream a change goes into, and what it waits for (changes/change.h).
namespace neptune::changes {

Change place(ChangeKind kind, const Management& management);
Change place(ChangeKind kind, const AttributesChange& change);
Change place(ChangeKind kind, const RunOperation& operation);

/// Whether held writes can be in the way of this removal.
bool may_discard(const Change& change);

}  // namespace neptune::changes
