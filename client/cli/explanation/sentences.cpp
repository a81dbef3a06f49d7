#include "client/cli/explanation/sentences.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "client/cli/views.h"
#include "client/lib/time.h"

namespace neptune::cli {

std::string sentence(std::string_view text) {
  auto out = capital(clean(text));
  while (!out.empty() && out.back() == ' ') out.pop_back();
  if (!out.empty() && std::string_view(".!?").find(out.back()) == std::string_view::npos) out += '.';
  return out;
}

std::string workspace_of(const std::string& project) {
  return project.substr(0, project.find('/'));
}

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::string subject_of(const std::string& type, const std::string& name, const std::string& project) {
  const auto of = " of " + clean(project);
  if (type == "run") return "Run " + clean(name) + of;
  if (type == "files") return "Files of run " + clean(name) + of;
  if (type == "model") return "Model " + clean(name) + of;
  if (type == "model_version") return "Model version " + clean(name) + of;
  if (type == "project") return "The metadata" + of;
  if (type == "removals" && name == "removal of the project") return "The removal" + of;
  if (type == "removals") return (name.empty() ? "Removals" : "Removals that wait") + of;
  return (name.empty() ? "Management (`project create` and the like)" : "Management (" + clean(name) + ")") + of;
}

namespace {

std::string waits_since(const std::optional<std::string>& oldest, Time now) {
  return oldest && api::parse_time(*oldest) ? "; the oldest has waited for " + since(oldest, now) : "";
}

}  // namespace

std::string not_there(const api::Counts& counts, std::uint64_t size, const std::optional<std::string>& oldest, Time now,
                      bool files) {
  const auto left = counts.pending + counts.held + counts.in_flight;
  std::vector<std::string> parts;
  if (counts.held > 0 && counts.held < left) parts.push_back(count(counts.held) + " held");
  if (counts.in_flight > 0) parts.push_back(count(counts.in_flight) + " sent, but not confirmed");
  auto text = files ? (left == 1 ? "1 file" : count(left) + " files") : changes(left);
  if (size > 0) text += " (" + bytes(size) + ")";
  text += left == 1 ? " is not on the server yet" : " are not on the server yet";
  if (!parts.empty()) text += fmt::format(" ({})", fmt::join(parts, ", "));
  return text + waits_since(oldest, now) + ".";
}

std::string where_files(const api::Stream& stream) {
  if (stream.source.starts_with(api::queue_source))
    return "Where they were when they were handed in: the daemon's change queue names them. One that was copied "
           "(--copy) is safe with the daemon, another must stay as it is until it is uploaded.";
  return "Where the job put them; the run log " + clean(stream.source) +
         " names them. They must stay as they are until they are uploaded.";
}

bool is_files(const api::Stream& stream) {
  return stream.container_type == "files";
}

std::uint64_t left(const api::Stream& stream) {
  return stream.pending + stream.held + stream.in_flight;
}

std::string what_is_there(const std::vector<const api::Stream*>& streams) {
  std::uint64_t done = 0, files = 0;
  for (const auto* stream : streams) (is_files(*stream) ? files : done) += stream->synced;
  auto text = done > 0 ? changes(done) : std::string();
  if (files > 0) text += (text.empty() ? "" : " and ") + count(files) + (files == 1 ? " file" : " files");
  return text;
}

std::string nothing_waits(const std::string& there, bool rejected) {
  if (rejected) return "Nothing else of it waits." + (there.empty() ? "" : " On the server: " + there + ".");
  return there.empty() ? "Nothing of it waits." : "All that was found of it is on the server: " + there + ".";
}

}  // namespace neptune::cli
