#pragma once

#include <string>
#include <string_view>

#include "client/lib/types.h"
#include "support/error.h"

/// The types of the local API as JSON and back.
///
/// Keys are snake_case, in the order of the local API's description, the same in every build. An absent value is
/// `null` (only `error.field` is left out instead). Text that is not UTF-8, such as a path, gets U+FFFD for what can't
/// be read. Reading ignores keys it does not know and leaves members whose key is missing at their defaults, so that
/// daemon and client of different versions understand each other.
namespace neptune::api {

/// One line, without a line end. Defined for every type of types.h that is answered as a whole: Status, Totals,
/// WorkspaceStatus, WorkspaceList, StreamList, Rejected, ExportedRejection, RejectedList, RejectedReply,
/// ServerProjectList, MemberList, Event, FlushReply, ScopeReply, ReleasePlan, SubmitReply, ChangePlace, Diagnosis,
/// TidyReply, ErrorReply.
template <class T>
std::string to_json(const T& value);

/// Error "invalid_json" names the key that has a value of the wrong kind.
template <class T>
Result<T> from_json(std::string_view text);

/// Appends `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace neptune::api
