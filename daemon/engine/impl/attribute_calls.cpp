#include "engine/impl/attribute_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "changes/attributes.h"
#include "changes/limits.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

/// The last step of each series that a call appends to; none: the series is empty.
using LastSteps = std::map<std::pair<std::string, bool>, std::optional<double>>;

struct Intent {
  sources::Position last = 0;  // of the changes that the call carries
  std::size_t part = 0;        // a change with more operations than a call can carry goes in parts
  LastSteps before;
};

std::string text_of(const Intent& intent) {
  boost::json::array series;
  for (const auto& [name, step] : intent.before)
    series.push_back({{"path", name.first},
                      {"text", name.second},
                      {"last_step", step ? boost::json::value(*step) : boost::json::value(nullptr)}});
  return boost::json::serialize(
      boost::json::object{{"last", intent.last}, {"part", intent.part}, {"series", std::move(series)}});
}

Result<Intent> read_intent(const std::string& text) {
  try {
    const auto value = boost::json::parse(text);
    Intent intent{value.at("last").as_int64(), value.at("part").to_number<std::size_t>(), {}};
    for (const auto& series : value.at("series").as_array()) {
      const auto& step = series.at("last_step");
      intent.before[{std::string(series.at("path").as_string()), series.at("text").as_bool()}] =
          step.is_null() ? std::nullopt : std::optional(step.to_number<double>());
    }
    return intent;
  } catch (const std::exception& e) {
    return fail("intent_unreadable",
                fmt::format("the record of what was about to be sent cannot be read: {}", e.what()));
  }
}

bool was_applied(const LastSteps& before, const LastSteps& now) {
  return std::ranges::any_of(now, [&before](const auto& series) {
    const auto then = before.find(series.first);
    return then != before.end() && then->second != series.second;
  });
}

/// Points without a step go on where their series stands.
void number_points(std::vector<AttributeOperation>& operations, LastSteps last) {
  for (auto& operation : operations) {
    if (!operation.point) continue;
    auto& step = last.at({operation.path, operation.point->text});
    if (!operation.point->step) set_step(operation, step ? std::floor(*step) + 1 : 0);
    step = operation.point->step;
  }
}

/// The operations of some changes, and which change each belongs to.
struct Operations {
  std::vector<AttributeOperation> all;
  std::vector<sources::Position> owner;
  std::uint64_t changes = 0;  // how many of them, the first ones
  sources::Position last = 0;
  std::vector<core::Refusal> unreadable;
};

Operations operations_of(const std::vector<sources::QueuedChange>& changes) {
  Operations found;
  for (const auto& change : changes) {
    auto read = read_attributes(change.payload, to_unix_ms(change.at));
    if (!read) {
      found.unreadable.push_back({change.position, read.error().code, read.error().message});
    } else if (!found.all.empty() && found.all.size() + read->size() > limits::attribute_operations) {
      break;
    } else {
      found.owner.insert(found.owner.end(), read->size(), change.position);
      found.all.insert(found.all.end(), std::move_iterator(read->begin()), std::move_iterator(read->end()));
    }
    found.changes++;
    found.last = change.position;
  }
  return found;
}

void refuse(std::vector<core::Refusal>& refused, sources::Position position, const std::string& code,
            const std::string& reason) {
  const auto known = std::ranges::find(refused, position, &core::Refusal::position);
  if (known == refused.end()) refused.push_back({position, code, reason + " (the rest of the change was stored)"});
}

asio::awaitable<Answer<LastSteps>> last_steps(server::Server& server, ContainerName container,
                                              const std::vector<AttributeOperation>& operations) {
  LastSteps steps;
  for (const auto& operation : operations)
    if (operation.point) steps.emplace(std::pair(operation.path, operation.point->text), std::nullopt);
  for (auto& [series, step] : steps) {
    auto last = co_await outcome(server.last_step(container, series.first, series.second));
    if (!last) co_return std::unexpected(std::move(last.error()));
    step = *last;
  }
  co_return steps;
}

using Errors = std::vector<server::OperationError>;

/// One call. `doubted`: where the series stood before an earlier try of it whose answer is not known.
asio::awaitable<Answer<Errors>> send_part(server::Server& server, sources::ChangeQueue* queue, ContainerName container,
                                          sources::Position first, Intent intent, std::optional<LastSteps> doubted,
                                          std::vector<AttributeOperation> operations) {
  auto now = co_await last_steps(server, container, operations);
  if (!now) co_return std::unexpected(std::move(now.error()));
  if (doubted && was_applied(*doubted, *now)) co_return Errors{};
  if (queue && (!now->empty() || intent.part > 0)) {
    intent.before = *now;
    auto text = text_of(intent);
    auto intended = co_await outcome(queue->intend(first, std::move(text)));
    if (!intended) co_return std::unexpected(source_failure(std::move(intended.error())));
  }
  number_points(operations, std::move(*now));
  co_return co_await outcome(server.execute(std::move(container), std::move(operations)));
}

asio::awaitable<Answer<std::optional<Intent>>> intent_of(sources::ChangeQueue* queue, sources::Position first) {
  if (!queue) co_return std::nullopt;
  auto kept = co_await outcome(queue->intent(first));
  if (!kept) co_return std::unexpected(source_failure(std::move(kept.error())));
  if (!*kept) co_return std::nullopt;
  auto intent = read_intent(**kept);
  if (!intent) co_return std::unexpected(source_failure(std::move(intent.error())));
  co_return std::move(*intent);
}

}  // namespace

asio::awaitable<CallOutcome> update_attributes(server::Server& server, sources::ChangeQueue* queue,
                                               ContainerName container, std::vector<sources::QueuedChange> changes) {
  CallOutcome done;
  const auto first = changes.front().position;
  const auto intent = co_await intent_of(queue, first);
  if (!intent) {
    done.answer = std::unexpected(intent.error());
    co_return done;
  }
  const auto& begun = *intent;
  if (begun) std::erase_if(changes, [&begun](const auto& change) { return change.position > begun->last; });
  auto operations = operations_of(changes);
  done.count = operations.changes;
  done.last = operations.last;
  done.refused = std::move(operations.unreadable);
  constexpr auto most = limits::attribute_operations;
  for (std::size_t part = begun ? begun->part : 0; part * most < operations.all.size(); ++part) {
    const auto from = part * most, upto = std::min(operations.all.size(), from + most);
    std::vector<AttributeOperation> carried(operations.all.begin() + static_cast<std::ptrdiff_t>(from),
                                            operations.all.begin() + static_cast<std::ptrdiff_t>(upto));
    std::optional<LastSteps> doubted;
    if (begun && begun->part == part) doubted = begun->before;
    Intent about{operations.last, part, {}};
    const auto errors =
        co_await send_part(server, queue, container, first, std::move(about), std::move(doubted), std::move(carried));
    if (!errors) {
      done.answer = std::unexpected(errors.error());
      co_return done;
    }
    for (const auto& error : *errors) {
      // The server does not always say which it means: then the call's first change stands for it.
      const auto index = error.index ? std::min(from + *error.index, upto - 1) : from;
      refuse(done.refused, operations.owner[index], error.code,
             error.index ? fmt::format("{}: {}", operations.all[index].path, error.message) : error.message);
    }
  }
  std::ranges::sort(done.refused, {}, &core::Refusal::position);
  co_return done;
}

}  // namespace neptune::engine
