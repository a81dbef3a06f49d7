// Accepted changes that the change queue does not hold any more, as its file was damaged or replaced.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "engine/engine.h"
#include "support/sizes.h"

namespace neptune::engine {

namespace {

constexpr std::chrono::hours told_for{7 * 24};  // our own bound: whoever comes back from a weekend is to see it

std::string numbers_of(const sources::QueueGap& gap) {
  return gap.first == gap.last ? fmt::format("number {}", gap.first)
                               : fmt::format("numbers {} to {}", gap.first, gap.last);
}

std::string sentence_of(const sources::QueueGap& gap) {
  const auto numbers = numbers_of(gap);
  if (!gap.lost) return fmt::format("Accepted changes may be lost: what became of the {} is not known.", numbers);
  return fmt::format("{} that {} accepted {} lost, of the {}.", number_of(*gap.lost, "change"),
                     *gap.lost == 1 ? "was" : "were", *gap.lost == 1 ? "is" : "are", numbers);
}

std::string with_cause(const sources::QueueGap& gap, const std::filesystem::path& file) {
  return fmt::format(
      "{} They were in the change queue {}: it or its log (-wal) was damaged, or another file was put in its place, "
      "which was found {}. `neptune-sync explain NUMBER` tells of each. Look after the disk, and hand in again what "
      "the server does not have.",
      sentence_of(gap), file.string(), format_time(gap.at));
}

}  // namespace

Result<sources::OnRecord> Engine::on_record(std::uint64_t queue) {
  return ledger_->numbers_of_queue(queue);
}

void Engine::follow(sources::ChangeQueue& queue) {
  queue_ = &queue;
  const auto& gap = queue.new_gap();
  if (!gap) return;
  if (!gap->lost_some()) {
    spdlog::warn("the change queue had not kept all its numbers, and nothing that waited is lost; it goes on behind {}",
                 gap->last);
    return;
  }
  const auto message = with_cause(*gap, queue.file());
  spdlog::error("accepted changes are lost first={} last={} lost={} error={:?}", gap->first, gap->last,
                gap->lost ? fmt::to_string(*gap->lost) : "unknown", message);
  events_.add("changes_lost", message, {.count = gap->lost, .loss = true});
}

void Engine::add_problems_of_gaps(std::vector<std::string>& problems) const {
  if (!queue_) return;
  for (const auto& gap : queue_->gaps())
    if (gap.lost_some() && clock_.wall() - gap.at < told_for) problems.push_back(with_cause(gap, queue_->file()));
}

/// Of one of its numbers, of which nothing is on record.
api::ChangePlace Engine::place_in_gap(std::int64_t id, const sources::QueueGap& gap) {
  api::ChangePlace answer;
  answer.id = answer.done_through = id;
  if (!gap.lost_some()) {
    answer.state = "done";
    answer.done_through = gap.last;
    return answer;
  }
  answer.state = "unknown";
  answer.why = fmt::format(
      "the change queue lost what it held of the {}: it was damaged, or another file was put in its place, which was "
      "found {}; {}",
      numbers_of(gap), format_time(gap.at),
      id > gap.recorded && gap.lost ? "nothing says that the server has it" : "the server may have it or not");
  return answer;
}

}  // namespace neptune::engine
