#include "client/cli/explanation/change.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "client/cli/explanation/moved.h"
#include "client/cli/explanation/rejected.h"
#include "client/cli/explanation/sentences.h"

namespace neptune::cli {

namespace {

std::string number_of(const api::ChangePlace& place) {
  return fmt::format("Change {}", place.id);
}

Explanation explain_discarded(const api::ChangePlace& place, Time now) {
  return {.subject = number_of(place),
          .state = fmt::format("The server does not have it: it was rejected{}, and thrown away{} by {}.",
                               place.rejected ? fmt::format(" (as rejected {})", *place.rejected) : "",
                               place.discarded_at ? " " + since(place.discarded_at, now) + " ago" : "",
                               clean(place.discarded_by.value_or("somebody"))),
          .why = sentence(place.why),
          .next = "Nothing of it is kept: what is still wanted has to be handed in again.",
          .waiting_for = "discarded"};
}

Explanation explain_refused(const api::ChangePlace& place, const std::vector<api::Rejected>& rejected) {
  const auto refused = std::ranges::find(rejected, *place.rejected, &api::Rejected::id);
  const bool read = refused != rejected.end();
  return {.subject = number_of(place),
          .state = read ? rejection(*refused) : "The server refused it for good; it is kept.",
          .why = read ? refusal(*refused) : clean(place.why),
          .next = retry_or_discard(place.rejected),
          .waiting_for = "rejected"};
}

Explanation explain_waiting(const api::ChangePlace& place, const std::vector<api::Stream>& streams,
                            const StreamExplainer& explainer) {
  auto one = Explanation{.subject = {}, .state = {}, .waiting_for = "turn"};
  const auto stream = std::ranges::find(streams, place.source, &api::Stream::id);
  if (stream != streams.end()) one = explainer.explain(*stream);
  one.subject = fmt::format("{} ({}), {}", number_of(place), clean(place.kind),
                            subject_of(place.container_type, place.container, place.project));
  if (place.container_type != "files" || one.where.empty()) one.where = "In the daemon's change queue, safe on disk.";
  one.state = place.state == "sent" ? "It is sent, and not confirmed yet." : "It is not on the server yet.";
  if (place.accepted_at) one.state += " It was handed in " + since(place.accepted_at, explainer.now()) + " ago.";
  if (place.ahead > 0)
    one.state +=
        fmt::format(" {} of the same stream {} before it.", changes(place.ahead), place.ahead == 1 ? "goes" : "go");
  return one;
}

}  // namespace

Explanation explain_change(const api::ChangePlace& place, const std::vector<api::Rejected>& rejected,
                           const std::vector<api::Stream>& streams, const StreamExplainer& explainer) {
  if (place.state == "done")
    return {.subject = number_of(place),
            .state = "It is done: the server has it" + (place.made ? ", as " + clean(*place.made) : "") + "."};
  if (place.state == "unknown" && !place.why.empty())
    return {.subject = number_of(place),
            .state = "Nothing says that the server has it.",
            .why = sentence(place.why),
            .next = "Look whether the server has it; what is still wanted has to be handed in again.",
            .waiting_for = "unknown"};
  if (place.state == "unknown")
    return {.subject = number_of(place),
            .state =
                "What became of it is not known any more: the server has it, or long since it was refused and thrown "
                "away, or moved to another machine.",
            .waiting_for = "unknown"};
  if (place.state == "discarded") return explain_discarded(place, explainer.now());
  if (place.state == "moved") return explain_moved(place, explainer.now());
  if (place.rejected) return explain_refused(place, rejected);
  return explain_waiting(place, streams, explainer);
}

}  // namespace neptune::cli
