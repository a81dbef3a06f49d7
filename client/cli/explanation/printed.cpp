#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "client/cli/explanation.h"
#include "client/lib/json.h"
#include "client/lib/names.h"

namespace neptune::cli {

std::string view(const std::vector<Explanation>& explanations, const Style& style) {
  std::string out;
  for (const auto& one : explanations) {
    if (!out.empty()) out += "\n";
    const bool waits = one.waiting_for != "nothing";
    out += paint(style, Colour::bold, one.subject) + "\n";
    const auto part = [&](std::string_view title, const std::string& text, Colour colour) {
      if (text.empty()) return;
      const auto first = fmt::format("  {:<7}", title);
      const std::string indent(first.size(), ' ');
      out += paint(style, Colour::dim, first) + paint(style, colour, wrap(text, style.width, indent, indent).substr(9));
    };
    const bool away = one.waiting_for == "lost" || one.waiting_for == "moved";
    part("", one.state, away ? Colour::yellow : waits ? Colour::plain : Colour::green);
    part("where", one.where, Colour::plain);
    part("why", one.why, Colour::yellow);
    part("then", one.next, Colour::plain);
  }
  return out;
}

std::string to_json(const std::vector<Explanation>& explanations) {
  std::string out = R"({"explanations":[)";
  for (const auto& one : explanations) {
    if (out.back() != '[') out += ',';
    char separator = '{';
    for (const auto& [key, value] : {std::pair<std::string_view, const std::string&>{"subject", one.subject},
                                     {"state", one.state},
                                     {"where", one.where},
                                     {"why", one.why},
                                     {"next", one.next},
                                     {"waiting_for", one.waiting_for}}) {
      out += std::exchange(separator, ',');
      api::append_json_string(out, key);
      out += ':';
      api::append_json_string(out, value);
    }
    out += '}';
  }
  return out + "]}";
}

std::string nothing_known(const Question& question, const api::Status& status,
                          const std::vector<api::Stream>& streams) {
  constexpr std::size_t few = 5;
  auto known = api::scope_names(status);
  std::vector<std::string> projects, folders;
  for (const auto& name : known)
    if (name.find('/') != std::string::npos) projects.push_back(clean(name));
  const auto others = projects.size() - std::min(projects.size(), few);
  projects.resize(projects.size() - others);
  if (others > 0) projects.push_back(fmt::format("and {} more", others));
  for (const auto& source : status.sources)
    if (source.kind == "watch") folders.push_back(clean(source.path));
  // A run may be named with its project.
  for (const auto& stream : streams)
    if (!stream.container.empty()) known.push_back(stream.project + "/" + stream.container);
  std::ranges::move(api::container_names(status, streams), std::back_inserter(known));
  return fmt::format(
      "{}The daemon knows nothing of '{}': no run, model, project or workspace of that name was found in the watched "
      "folders ({}) or came over the socket{}.{} Known projects: {}. A run log that was just made is found within "
      "seconds; `neptune-sync flush` looks at once.{}",
      question.path.empty() || question.is_there ? "" : "There is no such file or folder. ", clean(question.text),
      folders.empty() ? "there are none" : fmt::format("{}", fmt::join(folders, ", ")),
      question.is_number ? ", and no change was handed in with that number" : "",
      question.is_number ? "" : clean(api::did_you_mean(question.text, known)),
      projects.empty() ? "none" : fmt::format("{}", fmt::join(projects, ", ")),
      clean(api::what_is_unread(status.sources, std::nullopt, question.text).text));
}

}  // namespace neptune::cli
