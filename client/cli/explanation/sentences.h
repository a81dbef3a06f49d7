#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/explanation.h"
#include "client/lib/types.h"

/// What the explanations of streams, changes and scopes are made of.
namespace neptune::cli {

inline constexpr std::size_t named_at_most = 3;

/// With a capital at its beginning and a full stop at its end, and nothing that a terminal would obey.
std::string sentence(std::string_view text);
std::string workspace_of(const std::string& project);
void replace_all(std::string& text, std::string_view what, const std::string& with);

/// "Files of run r1 of ml-team/lab"
std::string subject_of(const std::string& type, const std::string& name, const std::string& project);
inline std::string subject_of(const api::Stream& stream) {
  return subject_of(stream.container_type, stream.container, stream.project);
}

/// What of a stream is not on the server.
std::uint64_t left(const api::Stream& stream);
bool is_files(const api::Stream& stream);
/// Of files: what keeps their names, and where they are themselves.
std::string where_files(const api::Stream& stream);

/// "1,204 changes (3.2 MiB) are not on the server yet; the oldest has waited for 12 min."
std::string not_there(const api::Counts& counts, std::uint64_t size, const std::optional<std::string>& oldest, Time now,
                      bool files = false);
/// "12 changes and 1 file"; empty for none.
std::string what_is_there(const std::vector<const api::Stream*>& streams);
/// "All that was found of it is on the server: 12 changes.", where nothing was rejected.
std::string nothing_waits(const std::string& there, bool rejected);

}  // namespace neptune::cli
