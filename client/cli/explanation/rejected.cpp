#include "client/cli/explanation/rejected.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "client/cli/explanation/sentences.h"
#include "client/lib/names.h"
#include "client/lib/refusals.h"

namespace neptune::cli {

std::string rejection(const api::Rejected& one) {
  if (api::thrown_away_unsent(one)) return "It was thrown away before the server had it; it is kept.";
  if (one.container_type == "files") return "Its file was not uploaded; the change is kept.";
  return "The server refused it for good; it is kept.";
}

std::string refusal(const api::Rejected& one) {
  const bool told = one.reason.find(one.code) != std::string::npos;
  const auto means = api::meaning(one.code);
  return fmt::format("Rejected {}: {}{}{}{}", one.id, sentence(one.reason), told ? "" : " (" + clean(one.code) + ")",
                     means.empty() ? "" : " ", means);
}

std::string retry_or_discard(std::optional<std::int64_t> id) {
  return fmt::format(
      "`neptune-sync rejected retry {0}` sends it again when the cause is mended, `... discard {0}` drops it.",
      id ? std::to_string(*id) : "ID");
}

Explanation explain_rejected(const api::Rejected& one) {
  const auto of = one.container.empty() ? one.project : one.project + "/" + one.container;
  return {.subject = fmt::format("Rejected {}, of {}", one.id, clean(of)),
          .state = rejection(one),
          .why = refusal(one),
          .next = retry_or_discard(one.id),
          .waiting_for = "rejected"};
}

namespace {

/// How much was refused, or else thrown away; at least one.
std::string state_of(const std::vector<const api::Rejected*>& list) {
  const bool one = list.size() == 1;
  const auto they_are = one ? "it is" : "they are";
  if (std::ranges::all_of(list, [](const auto* each) { return api::thrown_away_unsent(*each); }))
    return fmt::format("{} of it {} thrown away before the server had {}; {} kept.", changes(list.size()),
                       one ? "was" : "were", one ? "it" : "them", they_are);
  if (std::ranges::all_of(list, [](const auto* each) { return each->container_type == "files"; }))
    return fmt::format("{} could not be uploaded; what asks for {} is kept.",
                       one ? "1 file" : count(list.size()) + " files", one ? "it" : "them");
  return fmt::format("The server refused {} of it for good; {} kept.", changes(list.size()), they_are);
}

}  // namespace

std::optional<Explanation> explain_rejected(const std::vector<const api::Rejected*>& list) {
  if (list.empty()) return std::nullopt;
  std::vector<std::string> reasons;
  for (std::size_t i = 0; i < list.size() && i < named_at_most; ++i) reasons.push_back(refusal(*list[i]));
  if (list.size() > named_at_most) reasons.emplace_back("`neptune-sync rejected` has the others.");
  const bool only_files = std::ranges::all_of(list, [](const auto* one) { return one->container_type == "files"; });
  return Explanation{.subject = only_files ? "Rejected files" : "Rejected changes",
                     .state = state_of(list),
                     .where = {},
                     .why = fmt::format("{}", fmt::join(reasons, " ")),
                     .next = retry_or_discard(list.size() == 1 ? std::optional(list.front()->id) : std::nullopt),
                     .waiting_for = "rejected"};
}

}  // namespace neptune::cli
