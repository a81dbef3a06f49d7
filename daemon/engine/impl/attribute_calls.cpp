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
#include "changes/client_operation.h"
#include "changes/limits.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

using server::SeriesKind;

SeriesKind kind_of(const SeriesPoint& point) {
  if (point.image) return SeriesKind::images;
  return point.text ? SeriesKind::texts : SeriesKind::floats;
}

/// Where a series stands on the server.
struct Standing {
  std::optional<double> last_step;    // of images their number; none: the series is empty
  std::optional<std::int64_t> count;  // of its points; none: not asked for
  bool operator==(const Standing&) const = default;
};
/// Of each series that a call appends to.
using Standings = std::map<std::pair<std::string, SeriesKind>, Standing>;

struct Intent {
  sources::Position last = 0;  // of the changes that the call carries
  std::size_t part = 0;        // a change with more operations than a call can carry goes in parts
  Standings before;
  std::vector<core::Refusal> refused;  // by the answers to the parts before
};

template <class T>
boost::json::value or_null(const std::optional<T>& number) {
  return number ? boost::json::value(*number) : boost::json::value(nullptr);
}

std::string text_of(const Intent& intent) {
  boost::json::array series;
  for (const auto& [name, standing] : intent.before)
    series.push_back({{"path", name.first},
                      {"kind", static_cast<int>(name.second)},
                      {"last_step", or_null(standing.last_step)},
                      {"count", or_null(standing.count)}});
  boost::json::array refused;
  for (const auto& refusal : intent.refused)
    refused.push_back({{"position", refusal.position}, {"code", refusal.code}, {"reason", refusal.reason}});
  return boost::json::serialize(boost::json::object{
      {"last", intent.last}, {"part", intent.part}, {"series", std::move(series)}, {"refused", std::move(refused)}});
}

Result<Intent> read_intent(const std::string& text) {
  try {
    const auto value = boost::json::parse(text);
    Intent intent{value.at("last").as_int64(), value.at("part").to_number<std::size_t>(), {}, {}};
    for (const auto& series : value.at("series").as_array()) {
      const auto kind = static_cast<SeriesKind>(series.at("kind").to_number<std::uint8_t>());
      auto& standing = intent.before[{std::string(series.at("path").as_string()), kind}];
      if (const auto& step = series.at("last_step"); !step.is_null()) standing.last_step = step.to_number<double>();
      if (const auto* count = series.as_object().if_contains("count"); count && !count->is_null())
        standing.count = count->to_number<std::int64_t>();
    }
    if (const auto* refused = value.as_object().if_contains("refused"))
      for (const auto& each : refused->as_array())
        intent.refused.push_back({each.at("position").as_int64(), std::string(each.at("code").as_string()),
                                  std::string(each.at("reason").as_string())});
    return intent;
  } catch (const std::exception& e) {
    return fail("intent_unreadable",
                fmt::format("the record of what was about to be sent cannot be read: {}", e.what()));
  }
}

bool was_applied(const Standings& before, const Standings& now) {
  return std::ranges::any_of(now, [&before](const auto& series) {
    const auto then = before.find(series.first);
    return then != before.end() && then->second != series.second;
  });
}

/// Points without a step go on where their series stands. False when no series is told from what it was by its last
/// step: all points are to stand among those that are there.
bool number_points(std::vector<AttributeOperation>& operations, const Standings& before) {
  auto now = before;
  bool raised = false;
  for (auto& operation : operations) {
    if (!operation.point) continue;
    raised |= operation.point->image;
    if (operation.point->image) continue;
    const std::pair series(operation.path, kind_of(*operation.point));
    auto& step = now.at(series).last_step;
    if (!operation.point->step) set_step(operation, step ? std::floor(*step) + 1 : 0);
    step = operation.point->step;
    const auto& was = before.at(series).last_step;
    raised |= !was || *step > *was;
  }
  return raised;
}

/// The operations of some changes, and which change each belongs to.
struct Operations {
  std::vector<AttributeOperation> all;
  std::vector<sources::Position> owner;
  std::uint64_t changes = 0;  // how many of them, the first ones
  sources::Position last = 0;
  std::vector<core::Refusal> refused;  // unreadable, or with something that cannot be an attribute
};

void refuse(std::vector<core::Refusal>& refused, sources::Position position, const std::string& code,
            const std::string& reason, bool rest_stored = true) {
  const auto known = std::ranges::find(refused, position, &core::Refusal::position);
  if (known == refused.end())
    refused.push_back({position, code, reason + (rest_stored ? " (the rest of the change was stored)" : "")});
}

/// What a 1.x client logged; what cannot be sent is left out.
Result<LeaderboardUpdate> read_logged(std::string_view json, std::int64_t at_ms) {
  auto logged = read_client_operation(json, at_ms);
  if (!logged) return std::unexpected(std::move(logged.error()));
  LeaderboardUpdate update{std::move(logged->operations), {}};
  for (auto& [path, reason] : logged->left_out) update.left_out.push_back({std::move(path), std::move(reason)});
  return update;
}

Result<LeaderboardUpdate> read(const sources::QueuedChange& change) {
  const auto at_ms = to_unix_ms(change.at);
  if (change.kind == ChangeKind::client_operation) return read_logged(change.payload, at_ms);
  if (change.kind == ChangeKind::run_update) return leaderboard_operations(change.payload, at_ms);
  auto operations = read_attributes(change.payload, at_ms);
  if (!operations) return std::unexpected(std::move(operations.error()));
  return LeaderboardUpdate{std::move(*operations), {}};
}

Operations operations_of(const std::vector<sources::QueuedChange>& changes) {
  Operations found;
  for (const auto& change : changes) {
    if (goes_alone(change)) break;
    auto update = read(change);
    if (!update) {
      found.refused.push_back({change.position, update.error().code, update.error().message});
    } else if (auto& own = update->operations;
               !found.all.empty() && found.all.size() + own.size() > limits::attribute_operations) {
      break;
    } else {
      found.owner.insert(found.owner.end(), own.size(), change.position);
      found.all.insert(found.all.end(), std::move_iterator(own.begin()), std::move_iterator(own.end()));
      for (const auto& [path, reason] : update->left_out)
        refuse(found.refused, change.position, "no_such_attribute", path + ": " + reason, !own.empty());
    }
    found.changes++;
    found.last = change.position;
  }
  return found;
}

/// What calls these are made in, from and up to which: the same operations give the same parts each time.
std::vector<std::pair<std::size_t, std::size_t>> parts_of(const std::vector<AttributeOperation>& operations) {
  constexpr std::size_t most_bytes =
      limits::request_bytes / 4 * 3;  // of paths and bodies, whose frames are not counted
  std::vector<std::pair<std::size_t, std::size_t>> parts;
  std::size_t from = 0, bytes = 0;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto size = operations[i].path.size() + operations[i].body.size();
    if (i - from == limits::attribute_operations || (i > from && bytes + size > most_bytes)) {
      parts.emplace_back(from, i);
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < operations.size()) parts.emplace_back(from, operations.size());
  return parts;
}

asio::awaitable<Answer<Standing>> ask_for_one(std::shared_ptr<server::Server> server, server::Addressed container,
                                              std::string path, SeriesKind kind, bool with_count) {
  Standing standing;
  if (kind == SeriesKind::images) {
    auto count = co_await outcome(server->point_count(container, path, kind));
    if (!count) co_return std::unexpected(std::move(count.error()));
    if (*count > 0) standing.last_step = static_cast<double>(*count);
    co_return standing;
  }
  auto last = co_await outcome(server->last_step(container, path, kind == SeriesKind::texts));
  if (!last) co_return std::unexpected(std::move(last.error()));
  standing.last_step = *last;
  if (with_count) {
    auto count = co_await outcome(server->point_count(container, path, kind));
    if (!count) co_return std::unexpected(std::move(count.error()));
    standing.count = *count;
  }
  co_return standing;
}

/// Where these series stand on the server; of how many points, where that is among what is known of it.
asio::awaitable<Answer<Standings>> ask_for(std::shared_ptr<server::Server> server, server::Addressed container,
                                           Standings series) {
  for (auto& [name, standing] : series) {
    auto now = co_await ask_for_one(server, container, name.first, name.second, standing.count.has_value());
    if (!now) co_return std::unexpected(std::move(now.error()));
    standing = *now;
  }
  co_return series;
}

Standings series_of(const std::vector<AttributeOperation>& operations) {
  Standings series;
  for (const auto& operation : operations)
    if (operation.point) series.emplace(std::pair(operation.path, kind_of(*operation.point)), Standing());
  return series;
}

using Errors = std::vector<server::OperationError>;

asio::awaitable<Answer<Errors>> send_part(std::shared_ptr<server::Server> server, Intents intents,
                                          server::MayBegin may_begin, server::Addressed container,
                                          sources::Position first, Intent intent,
                                          std::vector<AttributeOperation> operations) {
  auto now = co_await ask_for(server, container, series_of(operations));
  if (!now) co_return std::unexpected(std::move(now.error()));
  if (!now->empty() && !number_points(operations, *now)) {
    for (auto& [name, standing] : *now) standing.count = 0;
    now = co_await ask_for(server, container, std::move(*now));
    if (!now) co_return std::unexpected(std::move(now.error()));
  }
  if (!now->empty() || intent.part > 0) {
    intent.before = std::move(*now);
    auto intended = co_await outcome(intents.write(first, intent.last, text_of(intent)));
    if (!intended) co_return std::unexpected(source_failure(std::move(intended.error())));
  }
  co_return co_await outcome(server->execute(std::move(container), std::move(operations), std::move(may_begin)));
}

/// Where an earlier try of the changes from `first` on left off.
struct Begun {
  std::size_t part = 0;                   // the next to be sent
  std::optional<sources::Position> last;  // of the changes that it carried, where these must be the same
  std::vector<core::Refusal> refused;     // by the answers to the parts before
};

asio::awaitable<Answer<Begun>> look_back(std::shared_ptr<server::Server> server, Intents intents,
                                         server::Addressed container, sources::Position first) {
  auto kept = co_await outcome(intents.read(first));
  if (!kept) co_return std::unexpected(source_failure(std::move(kept.error())));
  if (!*kept) co_return Begun{};
  auto intent = read_intent(**kept);
  if (!intent) co_return std::unexpected(source_failure(std::move(intent.error())));
  auto now = co_await ask_for(std::move(server), std::move(container), intent->before);
  if (!now) co_return std::unexpected(std::move(now.error()));
  Begun begun{intent->part + (was_applied(intent->before, *now) ? 1u : 0u), std::nullopt, std::move(intent->refused)};
  if (begun.part > 0) begun.last = intent->last;
  co_return begun;
}

}  // namespace

Failure waiting_for_container(Failure failure) {
  for (const auto* code : {"run_not_found", "project_not_found", "model_not_found", "model_version_not_found"})
    if (failure.code == code) failure.kind = Failure::Kind::forbidden;
  return failure;
}

asio::awaitable<CallOutcome> update_attributes(std::shared_ptr<server::Server> server, Intents intents,
                                               server::MayBegin may_begin, std::shared_ptr<sources::Source> source,
                                               server::Addressed container,
                                               std::vector<sources::QueuedChange> changes) {
  CallOutcome done;
  const auto first = changes.front().position;
  // Of a container that may still come, as where the server takes runs by ingestion, or that is none of ours to make.
  const bool waits = container.name.kind == ContainerKind::run || changes.front().kind == ChangeKind::client_operation;
  auto begun = co_await look_back(server, intents, container, first);
  if (begun && begun->last && *begun->last != changes.back().position) {
    auto carried = co_await outcome(source->changes(first, *begun->last));
    if (carried) {
      changes = std::move(*carried);
    } else {
      begun = std::unexpected(source_failure(std::move(carried.error())));
    }
  }
  if (!begun) {
    done.answer = std::unexpected(waits ? waiting_for_container(begun.error()) : begun.error());
    co_return done;
  }
  auto operations = operations_of(changes);
  done.count = operations.changes;
  done.last = operations.last;
  done.refused = std::move(operations.refused);
  for (auto& refusal : begun->refused)
    if (std::ranges::find(done.refused, refusal.position, &core::Refusal::position) == done.refused.end())
      done.refused.push_back(std::move(refusal));
  const auto parts = parts_of(operations.all);
  for (std::size_t part = begun->part; part < parts.size(); ++part) {
    const auto [from, upto] = parts[part];
    std::vector<AttributeOperation> carried(operations.all.begin() + static_cast<std::ptrdiff_t>(from),
                                            operations.all.begin() + static_cast<std::ptrdiff_t>(upto));
    Intent about{operations.last, part, {}, done.refused};
    const auto errors =
        co_await send_part(server, intents, may_begin, container, first, std::move(about), std::move(carried));
    if (!errors) {
      done.answer = std::unexpected(waits ? waiting_for_container(errors.error()) : errors.error());
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

std::optional<ClientOperation> goes_alone(const sources::QueuedChange& change) {
  if (change.kind != ChangeKind::client_operation || !may_go_alone(change.payload)) return std::nullopt;
  auto logged = read_client_operation(change.payload, to_unix_ms(change.at));
  if (!logged || (!logged->upload && !logged->copy)) return std::nullopt;
  return std::move(*logged);
}

namespace {

/// The container a value is copied from. What a run that was made offline copies from itself, or from another such run,
/// it calls by its local id, which is its custom id.
asio::awaitable<Answer<server::Addressed>> source_of(std::shared_ptr<server::Server> server,
                                                     server::Addressed container, ClientCopy copy) {
  if (copy.container_id == container.id || copy.container_id == container.name.id) co_return container;
  auto found = co_await outcome(server->container(copy.container_kind, copy.container_id));
  if (found) co_return server::Addressed(std::move(*found), copy.container_id);
  if (found.error().code == "container_not_found" && copy.container_kind == ContainerKind::run)
    co_return server::Addressed(ContainerName{container.name.project, copy.container_id, ContainerKind::run});
  co_return std::unexpected(std::move(found.error()));
}

/// What the server answers is not there, so that there is nothing to copy.
bool says_not_found(const Failure& failure) {
  return failure.status == 404 || failure.code.ends_with("_not_found");
}

}  // namespace

asio::awaitable<CallOutcome> copy_attribute(std::shared_ptr<server::Server> server, server::MayBegin may_begin,
                                            server::Addressed container, sources::Position position, ClientCopy copy) {
  CallOutcome done{.count = 1, .last = position, .answer = {}, .refused = {}};
  auto from = co_await source_of(server, container, copy);
  Answer<std::optional<std::string>> properties;
  if (from) {
    properties = co_await outcome(server->attribute(*from, copy.source_path, copy.type));
  } else {
    properties = std::unexpected(std::move(from.error()));
  }
  if (properties ? !*properties : says_not_found(properties.error())) {
    done.refused.push_back(
        {position, "copied_value_missing",
         fmt::format("{} was to be a copy of {} of {}, which is not on the server{}; try it again once it is",
                     copy.path, copy.source_path, copy.container_id,
                     properties ? std::string() : " (" + properties.error().message + ")")});
    co_return done;
  }
  if (!properties) {
    done.answer = std::unexpected(std::move(properties.error()));
    co_return done;
  }
  auto assignment = assignment_of_copy(copy, **properties);
  if (!assignment) {
    done.refused.push_back({position, assignment.error().code, assignment.error().message});
    co_return done;
  }
  std::vector<AttributeOperation> operations;
  operations.push_back(std::move(*assignment));
  auto errors = co_await outcome(server->execute(std::move(container), std::move(operations), std::move(may_begin)));
  if (!errors) {
    done.answer = std::unexpected(waiting_for_container(std::move(errors.error())));
  } else if (!errors->empty()) {
    done.refused.push_back({position, errors->front().code, copy.path + ": " + errors->front().message});
  }
  co_return done;
}

asio::awaitable<CallOutcome> create_run(std::shared_ptr<server::Server> server, server::MayBegin may_begin,
                                        ContainerName run, sources::QueuedChange change) {
  CallOutcome done{.count = 1, .last = change.position, .answer = {}, .refused = {}};
  auto create = leaderboard_create(change.payload);
  if (!create) {
    done.refused.push_back({change.position, create.error().code, create.error().message});
  } else if (!create->forked_from.empty()) {
    done.refused.push_back(
        {change.position, "fork_not_possible",
         fmt::format("{} is a fork of {}, and the server has no forks (it has no ingestion API); log it as a run of "
                     "its own",
                     run.id, create->forked_from)});
  } else {
    auto made =
        co_await outcome(server->create_run(std::move(run), std::move(create->experiment), std::move(may_begin)));
    if (!made) done.answer = std::unexpected(waiting_for_container(std::move(made.error())));
  }
  co_return done;
}

}  // namespace neptune::engine
