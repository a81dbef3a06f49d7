#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace neptune::sandbox {

/// An ingest request's outer shape (docs/protocol.md, "Ingestion"): RunOperation taken apart without parsing what is in
/// it, so that a body of 16 MiB costs no second copy. The views are into the body.
struct IngestRequest {
  std::string project, run;
  bool create_missing_project = false;
  std::optional<std::string_view> create;   ///< a serialized Run; else an update
  std::vector<std::string_view> snapshots;  ///< serialized UpdateRunSnapshots

  std::size_t operations() const { return create ? 1 : snapshots.size(); }
};

/// Fails when the bytes are no RunOperation, name no project or hold no operation.
Result<IngestRequest> read_request(std::string_view body);

/// The project of a body of which only the beginning is there; empty when it does not begin with one.
std::string peek_project(std::string_view beginning);

}  // namespace neptune::sandbox
