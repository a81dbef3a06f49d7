#include "tests/integration/loss_log.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <utility>
#include <vector>

#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {

void write_loss_log(const Box& box, const std::string& project, const std::string& run, int operations) {
  RunLogWriter log({.directory = box.runs(), .project = project, .run = run, .experiment = {}, .fork = {}});
  for (int i = 1; i <= operations; ++i)
    log.append(static_cast<std::uint64_t>(i) * 1'000'000, {{"train/loss", 1.0 / i}});
  log.close(false);
}

std::string misses_of_loss_log(Box& box, const std::string& run, int operations) {
  std::vector<std::pair<std::uint64_t, double>> points;
  for (int i = 1; i <= operations; ++i) points.emplace_back(static_cast<std::uint64_t>(i) * 1'000'000, 1.0 / i);
  const auto state = box.sandbox().state("summary=1");
  if (state.at("order_violations").as_int64() != 0) return "points came out of order";
  const auto* held = state.at("runs").as_object().if_contains(run);
  if (!held) return run + " is not on the server";
  const auto* loss = held->at("series").as_object().if_contains("train/loss");
  if (!loss) return run + " has no points";
  if (loss->at("hash").as_string() == points_hash(points)) return {};
  return fmt::format("{} has other points than were logged: {}", run, boost::json::serialize(*loss));
}

}  // namespace neptune::testing
