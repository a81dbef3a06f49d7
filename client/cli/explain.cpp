#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "client/cli/explanation.h"
#include "client/cli/hand_in.h"
#include "client/cli/values.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"

namespace neptune::cli {

namespace {

constexpr std::uint32_t page = 1000;
constexpr std::size_t most_rejected = 50'000;  // the newest; some hundred bytes each

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? std::optional(value) : std::nullopt;
}

/// "ml-team/lab" is a project unless there is such a file; "./lab", "~" and "/lab" are paths whatever there is.
std::string path_of(const std::string& text) {
  std::error_code ignored;
  const bool like_a_path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text == ".";
  if (!like_a_path && !std::filesystem::exists(text, ignored)) return {};
  auto path = std::filesystem::weakly_canonical(text, ignored).string();
  // The daemon may know of what the caller may not even look at.
  if (path.empty()) path = std::filesystem::absolute(text).lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

/// Newest first.
Result<std::vector<api::Rejected>> all_rejected(const client::Client& client) {
  std::vector<api::Rejected> all;
  std::optional<std::int64_t> before = 0;
  while (before && all.size() < most_rejected) {
    auto next = client.rejected(*before, page);
    if (!next) return std::unexpected(next.error());
    std::ranges::move(next->value.rejected, std::back_inserter(all));
    before = next->value.next_before;
  }
  if (before)
    std::fprintf(stderr, "neptune-sync: only the newest %zu rejected changes were looked through\n", all.size());
  return all;
}

/// "run trial-7", "project create ml-team/lab": what it is, and what was asked for, may be said before its name.
std::string name_in(const std::vector<std::string>& words) {
  static const std::set<std::string_view> about{"run",  "model",  "project", "workspace", "change", "file",
                                                "path", "folder", "create",  "version",   "log",    "upload"};
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (!about.contains(words[i])) wrong_usage("WHAT", "Name one thing: '" + words[i + 1] + "' is one word too many.");
  return words.back();
}

void explain_it(Session& session, const std::string& text) {
  const auto client = session.client();
  Question question{
      .text = text, .path = path_of(text), .project = project_at_hand(), .now = std::chrono::system_clock::now()};
  std::error_code looked;
  question.is_there = std::filesystem::exists(question.path, looked) || looked;
  const auto status = client.status();
  if (!status) return session.fail_with(status.error());
  const auto streams = client.streams({});
  if (!streams) return session.fail_with(streams.error());
  auto rejected = all_rejected(client);
  if (!rejected) return session.fail_with(rejected.error());
  question.rejected = std::move(*rejected);
  if (!question.path.empty()) {
    auto waiting = client.streams({.file = absolute_file(text)});
    if (!waiting) return session.fail_with(waiting.error());
    question.of_file = std::move(waiting->value.streams);
  }
  if (const auto id = whole_number(text)) {
    question.is_number = true;
    auto change = client.change(*id);
    if (change) question.change = std::move(change->value);
    if (!change && client::is_unreachable(change.error())) return session.fail_with(change.error());
  }
  const auto found = explain(question, status->value, streams->value.streams);
  if (found.empty())
    return session.fail_with({"unknown_name", nothing_known(question, status->value, streams->value.streams)});
  session.print(session.json ? to_json(found) + "\n" : view(found, session.style));
}

}  // namespace

void add_explain(Verb& top, Session& session) {
  auto verb = top.add("explain", "Why something is not on the server yet, and what would make it move");
  const auto what = std::make_shared<std::vector<std::string>>();
  verb.at_least_one(
      "WHAT", *what,
      "A run, model, workspace/project or workspace, the path of a run log or folder, or the id of a "
      "change that was handed in; what it is may stand before it, as in run trial-7. Of runs of one name, that "
      "in $NEPTUNE_PROJECT, if it is there");
  verb.action([&session, what] { explain_it(session, name_in(*what)); });
}

}  // namespace neptune::cli
