#include "client/cli/explanation/scope.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "client/cli/explanation/sentences.h"
#include "client/cli/views.h"
#include "client/lib/modes.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

void add_to(Explanation& one, const std::string& why, const std::string& next) {
  one.why += (one.why.empty() ? "" : " ") + why;
  one.next += (one.next.empty() ? "" : " ") + next;
}

void add_read_only(Explanation& one, const api::ScopeStatus& scope, const std::string& name, Time now) {
  if (scope.own_mode() != "read_only") return;
  one.waiting_for = "read_only";
  auto next = api::end_of_read_only(clean(name));
  if (scope.next_probe_at) next += " The next probe is in " + until(scope.next_probe_at, now) + ".";
  add_to(one,
         sentence(clean(name) + " is read-only on the server" + api::for_as_long(scope.since, now) +
                  (scope.reason ? ": " + *scope.reason : "")),
         next);
}

void add_hold(Explanation& one, const api::ScopeStatus& scope, const std::string& name, Time now) {
  if (!scope.operator_hold && scope.own_mode() != "held") return;
  if (one.waiting_for != "read_only") one.waiting_for = "held";
  add_to(one, sentence(api::hold_in_words(clean(name), scope, now)), api::end_of_hold(clean(name)));
}

using Group = std::vector<const api::Stream*>;

/// `one`: of the first of them, which are several.
Explanation explain_together(Explanation one, const Group& group, Time now) {
  const auto& first = *group.front();
  api::Counts sum;
  std::uint64_t size = 0;
  std::vector<std::string> names;
  std::optional<std::string> oldest;
  for (const auto* stream : group) {
    sum.pending += stream->pending;
    sum.held += stream->held;
    sum.in_flight += stream->in_flight;
    size += stream->pending_bytes;
    if (names.size() < named_at_most) names.push_back(clean(name_of(*stream)));
    const auto& time = stream->oldest_pending_at;
    if (time && (!oldest || *time < *oldest)) oldest = time;
  }
  one.subject =
      fmt::format("{} streams ({}{})", group.size(), fmt::join(names, ", "), group.size() > names.size() ? ", …" : "");
  one.state = not_there(sum, size, oldest, now);
  one.where.clear();
  one.why = "As " + subject_of(first) + ": " + one.why;
  replace_all(one.next, " --run " + clean(first.container) + "`", "`");
  return one;
}

}  // namespace

Explanation explain_scope(const api::ScopeStatus& scope, std::string subject, const std::string& name,
                          const api::ScopeStatus* above, Time now) {
  Explanation one{.subject = std::move(subject), .state = {}};
  const auto waits = scope.pending + scope.held + scope.in_flight;
  one.state = waits > 0
                  ? not_there(scope, scope.pending_bytes, scope.oldest_pending_at, now)
                  : nothing_waits(scope.synced > 0 ? changes(scope.synced) : std::string(), scope.rejected_kept > 0);
  if (waits > 0) one.waiting_for = "waiting";
  add_read_only(one, scope, name, now);
  if (above) add_read_only(one, *above, above->name, now);
  add_hold(one, scope, name, now);
  if (above) add_hold(one, *above, above->name, now);
  return one;
}

std::vector<Explanation> explain_streams_of(const std::string& name, const std::vector<api::Stream>& streams,
                                            const StreamExplainer& explainer) {
  std::vector<Explanation> found;
  std::map<std::string, Group> by_reason;
  for (const auto& stream : streams) {
    if (!api::within(stream.project, name)) continue;
    if (stream.lost > 0)
      found.push_back(explainer.explain(stream));
    else if (left(stream) > 0 || stream.waiting_for == "source")
      by_reason[stream.waiting_for].push_back(&stream);
  }
  for (auto& [reason, group] : by_reason) {
    std::ranges::sort(group, [](const auto* a, const auto* b) { return left(*a) > left(*b); });
    auto one = explainer.explain(*group.front());
    found.push_back(group.size() > 1 ? explain_together(std::move(one), group, explainer.now()) : std::move(one));
  }
  return found;
}

}  // namespace neptune::cli
