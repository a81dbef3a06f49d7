#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/change.h"

/// What local clients hand in, as JSON, made into changes that can be queued. docs/local-api.md lists the fields of
/// each kind; every limit of docs/protocol.md that can be known here is checked here, so that what was accepted is
/// refused by the server only for what the server alone knows.
namespace neptune {

/// Why nothing of a body was taken.
struct Refusal {
  enum class Kind : std::uint8_t {
    malformed,  ///< the body is no JSON, or not of the form asked for
    invalid,    ///< a change says what no server would take, or what this one does not know
    too_large,  ///< one change is over a size limit
  };
  Kind kind = Kind::invalid;
  std::string code;     ///< snake_case and stable: "unknown_field", "string_too_long"
  std::string message;  ///< a sentence: what is wrong with which value, and what to do
  /// "visibility", "assign.metrics/loss"; in an array or NDJSON after the change's index from 0: "3.visibility". Empty
  /// when no one field is at fault.
  std::string field;
};

enum class ChangesFormat : std::uint8_t {
  json,    ///< one object, or an array of objects
  ndjson,  ///< one object a line; empty lines are skipped
};

/// What is known besides the body.
struct ChangeFacts {
  std::int64_t accepted_ms = 0;                                               ///< now: the time of what names none
  std::function<WorkspaceType(std::string_view workspace)> workspace_type{};  ///< none: nothing is known
  /// "workspace/project": of changes that name none. What makes, changes or empties a project itself must name it.
  std::string project{};
  std::size_t first_line = 1;  ///< of the file that the body is a part of: where the body begins, for what is said
};

/// All changes of a body, in order, or the first reason why none is taken. Memory: the changes themselves, and one
/// change's JSON at a time.
std::expected<std::vector<Change>, Refusal> parse_changes(std::string_view body, ChangesFormat format,
                                                          const ChangeFacts& facts);

}  // namespace neptune
