#pragma once

#include "server/impl/http.h"
#include "support/clock.h"

namespace neptune::server {

enum class Intent : std::uint8_t { read, write };

/// What an answer other than 2xx means (docs/protocol.md, "Read-only mode"). Not for object stores: their 402, 403 and
/// 422 say nothing about a workspace.
///
/// An errorType of read-only mode counts on any 4xx but 401, 408 and 429: to believe in it wrongly costs a probe, to
/// miss it costs a change. 402 and 422 without an errorType are about limits only where something was written.
Failure classify(const Response& response, Intent intent, WallTime now);

}  // namespace neptune::server
