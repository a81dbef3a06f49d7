#include "engine/impl/attribute_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "changes/attributes.h"
#include "changes/client_operation.h"
#include "changes/limits.h"
#include "engine/impl/attribute_batch.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

using Series = std::pair<std::string, bool>;  // path, and whether it is of texts

Series series_of(const AttributeOperation& operation) {
  return {operation.path, operation.point->text};
}

/// Of the operations `from` to `upto` of a batch.
struct Range {
  std::size_t from = 0, upto = 0;
};

/// What is written down before a call.
struct Intent {
  sources::Position last = 0;  // of the changes that the batch carries
  Range range{};               // what the call carries of it; what was before that is answered
  bool made = false;           // it may have been applied, or a part of it
  std::map<Series, std::optional<double>> numbered_from{};  // last steps, of series with points that name no step
  std::map<std::string, std::int64_t> images{};             // how many each such series held
  std::vector<RefusedOperation> refused{};                  // by the answers before
};

std::string text_of(const Intent& intent) {
  boost::json::array steps, images, refused;
  for (const auto& [series, step] : intent.numbered_from)
    steps.push_back({{"path", series.first},
                     {"text", series.second},
                     {"last_step", step ? boost::json::value(*step) : boost::json::value(nullptr)}});
  for (const auto& [path, count] : intent.images) images.push_back({{"path", path}, {"count", count}});
  for (const auto& each : intent.refused)
    refused.push_back({{"index", each.index}, {"code", each.code}, {"reason", each.reason}});
  return boost::json::serialize(boost::json::object{{"last", intent.last},
                                                    {"from", intent.range.from},
                                                    {"upto", intent.range.upto},
                                                    {"made", intent.made},
                                                    {"numbered_from", std::move(steps)},
                                                    {"images", std::move(images)},
                                                    {"refused", std::move(refused)}});
}

std::string word(const boost::json::value& object, const char* name) {
  return std::string(object.at(name).as_string());
}

Result<Intent> read_intent(const std::string& text) {
  try {
    const auto value = boost::json::parse(text);
    Intent intent{.last = value.at("last").as_int64(), .made = value.at("made").as_bool()};
    intent.range = {value.at("from").to_number<std::size_t>(), value.at("upto").to_number<std::size_t>()};
    for (const auto& series : value.at("numbered_from").as_array()) {
      const auto& step = series.at("last_step");
      intent.numbered_from[{word(series, "path"), series.at("text").as_bool()}] =
          step.is_null() ? std::nullopt : std::optional(step.to_number<double>());
    }
    for (const auto& series : value.at("images").as_array())
      intent.images[word(series, "path")] = series.at("count").as_int64();
    for (const auto& each : value.at("refused").as_array())
      intent.refused.push_back({each.at("index").to_number<std::size_t>(), word(each, "code"), word(each, "reason")});
    return intent;
  } catch (const std::exception& e) {
    return fail("intent_unreadable",
                fmt::format("the record of what was about to be sent cannot be read: {}", e.what()));
  }
}

/// Where a part that begins with `from` ends.
std::size_t end_of_part(const std::vector<BatchOperation>& operations, std::size_t from) {
  constexpr std::size_t most_bytes =
      limits::request_bytes / 4 * 3;  // of paths and bodies, whose frames are not counted
  std::size_t bytes = 0;
  auto upto = from;
  for (; upto < operations.size() && upto - from < limits::attribute_operations; ++upto) {
    const auto& each = operations[upto].operation;
    bytes += each.path.size() + each.body.size();
    if (upto > from && bytes > most_bytes) break;
  }
  return upto;
}

bool is_deletion(const AttributeOperation& operation) {
  return operation.op == "deleteAttribute";
}

/// Should it be applied late, it takes points that came after it.
bool takes_points(const AttributeOperation& operation) {
  return is_deletion(operation) || (operation.op.starts_with("clear") && operation.op.ends_with("Series"));
}

/// The value of a float or text point, as it is sent.
std::variant<double, std::string> value_of(const AttributeOperation& point) {
  const auto body = boost::json::parse(point.body);
  const auto& value = body.at("entries").at(0).at("value");
  if (point.point->text) return std::string(value.as_string());
  return value.to_number<double>();
}

/// Whether the server may have made this of that point: numbers may be kept with less digits, texts may be cut.
bool is_stored_as(const AttributeOperation& point, const server::StoredPoint& stored) {
  if (std::llround(*point.point->step * limits::step_micro) != std::llround(stored.step * limits::step_micro))
    return false;
  const auto value = value_of(point);
  if (value.index() != stored.value.index()) return false;
  if (const auto* text = std::get_if<std::string>(&value))
    return text->starts_with(std::get<std::string>(stored.value));
  const auto mine = std::get<double>(value), theirs = std::get<double>(stored.value);
  return mine == theirs || std::abs(mine - theirs) <= 1e-6 * std::abs(mine);
}

/// Takes a batch to the server, part by part.
class Sending {
 public:
  Sending(AttributeCall call, server::Addressed container, sources::Position first, AttributeBatch batch, Intent begun)
      : call_(std::move(call)),
        container_(std::move(container)),
        first_(first),
        batch_(std::move(batch)),
        intent_(std::move(begun)),
        stored_(batch_.operations.size()) {}

  asio::awaitable<Answer<void>> run();
  const AttributeBatch& batch() const { return batch_; }
  std::vector<core::Refusal> refusals() const { return refusals_of(batch_, intent_.refused); }

 private:
  using Which = std::vector<std::size_t>;  // of the batch's operations, in their order

  Which in_range() const;
  AttributeOperation& operation(std::size_t index) { return batch_.operations[index].operation; }
  bool is_refused(std::size_t index) const {
    return std::ranges::find(intent_.refused, index, &RefusedOperation::index) != intent_.refused.end();
  }
  void refuse(std::size_t index, const std::string& code, const std::string& reason);
  bool is_emptied_with(std::size_t index, const Which& others) const;
  bool must_be_noted() const;
  void number();
  asio::awaitable<Answer<void>> note(bool made);
  asio::awaitable<Answer<void>> look_for_deleted();
  asio::awaitable<Answer<void>> settle_doubt();
  asio::awaitable<Answer<void>> look_at_series();
  asio::awaitable<Answer<void>> look_for(Which points);
  asio::awaitable<Answer<bool>> look_for_images();
  asio::awaitable<Answer<void>> send(Which which);
  asio::awaitable<Answer<void>> hear(Which sent, std::vector<server::OperationError> errors);
  asio::awaitable<Answer<void>> tell_apart(Which suspects, server::OperationError error);
  asio::awaitable<Answer<void>> failed(Failure failure);

  AttributeCall call_;
  server::Addressed container_;
  sources::Position first_;
  AttributeBatch batch_;
  Intent intent_;
  std::vector<bool> stored_;    // points that were seen on the server: not sent again
  std::set<std::size_t> gone_;  // deletes of what was not there: they are done, whatever is answered
  bool applied_some_ = false;   // of the part that is being sent
};

Sending::Which Sending::in_range() const {
  Which which;
  for (auto index = intent_.range.from; index < intent_.range.upto; ++index)
    if (!stored_[index] && !is_refused(index)) which.push_back(index);
  return which;
}

void Sending::refuse(std::size_t index, const std::string& code, const std::string& reason) {
  if (!is_refused(index)) intent_.refused.push_back({index, code, reason});
}

/// Whether it is a point whose series is emptied by one of the others.
bool Sending::is_emptied_with(std::size_t index, const Which& others) const {
  const auto& by = batch_.operations[index].emptied_by;
  return by && std::ranges::binary_search(others, *by);
}

/// Whether doing it twice makes a difference, or what was done before.
bool Sending::must_be_noted() const {
  if (intent_.range.from > 0) return true;
  const auto which = in_range();
  return std::ranges::any_of(which, [this](std::size_t index) {
    const auto& each = batch_.operations[index].operation;
    return each.point.has_value() || takes_points(each);
  });
}

/// Points without a step go on where their series stood, or begin it anew.
void Sending::number() {
  auto last = intent_.numbered_from;
  for (const auto index : in_range()) {
    auto& each = operation(index);
    if (!each.point || each.point->image) continue;
    const auto at = last.find(series_of(each));
    if (at == last.end()) continue;
    if (!each.point->step) set_step(each, at->second ? std::floor(*at->second) + 1 : 0);
    at->second = each.point->step;
  }
}

asio::awaitable<Answer<void>> Sending::note(bool made) {
  intent_.last = batch_.last;
  intent_.made = made;
  auto written = co_await outcome(call_.intents.write(first_, batch_.last, text_of(intent_)));
  if (!written) co_return std::unexpected(source_failure(std::move(written.error())));
  co_return Answer<void>{};
}

/// What is to be deleted and is not there is done, be it by an earlier try. Afterwards, points may be there in its
/// place.
asio::awaitable<Answer<void>> Sending::look_for_deleted() {
  for (const auto index : in_range()) {
    if (!is_deletion(operation(index))) continue;
    auto there = co_await outcome(call_.server->has_attribute(container_, operation(index).path));
    if (!there) co_return std::unexpected(std::move(there.error()));
    if (!*there) gone_.insert(index);
  }
  co_return Answer<void>{};
}

/// What must be known of the series before a call.
asio::awaitable<Answer<void>> Sending::look_at_series() {
  intent_.numbered_from.clear();
  intent_.images.clear();
  const auto which = in_range();
  std::set<Series> begun_anew;
  for (const auto index : which) {
    const auto& each = batch_.operations[index].operation;
    if (!each.point) continue;
    if (each.point->image) {
      intent_.images.emplace(each.path, 0);
    } else if (!each.point->step) {
      intent_.numbered_from.emplace(series_of(each), std::nullopt);
      if (is_emptied_with(index, which)) begun_anew.insert(series_of(each));
    }
  }
  for (auto& [series, step] : intent_.numbered_from) {
    if (begun_anew.contains(series)) continue;
    auto last = co_await outcome(call_.server->last_step(container_, series.first, series.second));
    // An attribute of another type: the call is answered with that, for the operation.
    if (!last && last.error().status == 422) continue;
    if (!last) co_return std::unexpected(std::move(last.error()));
    step = *last;
  }
  for (auto& [path, count] : intent_.images) {
    auto held = co_await outcome(call_.server->point_count(container_, path, server::SeriesKind::images));
    if (!held) co_return std::unexpected(std::move(held.error()));
    count = *held;
  }
  co_return Answer<void>{};
}

/// Marks those of these points that the server holds, but for what they would be emptied of when they are sent again.
asio::awaitable<Answer<void>> Sending::look_for(Which points) {
  std::map<Series, Which> by_series;
  for (const auto index : points) {
    const auto& each = operation(index);
    const auto& point = each.point;
    if (point && !point->image && point->step && !is_emptied_with(index, points))
      by_series[series_of(each)].push_back(index);
  }
  for (const auto& [series, indices] : by_series) {
    const auto step = [this](std::size_t index) { return *batch_.operations[index].operation.point->step; };
    const auto [lowest, highest] = std::ranges::minmax(indices, {}, step);
    const server::StepRange range{step(lowest), step(highest)};
    auto held = co_await outcome(call_.server->points(container_, series.first, series.second, range));
    if (!held) co_return std::unexpected(std::move(held.error()));
    for (const auto index : indices) {
      const auto& mine = operation(index);
      const auto is_mine = [&mine](const server::StoredPoint& stored) { return is_stored_as(mine, stored); };
      const auto found = std::ranges::find_if(*held, is_mine);
      if (found == held->end()) continue;
      stored_[index] = true;
      held->erase(found);
    }
  }
  co_return Answer<void>{};
}

/// Images can only be counted. Whether all of them are there.
asio::awaitable<Answer<bool>> Sending::look_for_images() {
  bool all = true;
  const auto which = in_range();
  for (const auto& [path, before] : intent_.images) {
    auto held = co_await outcome(call_.server->point_count(container_, path, server::SeriesKind::images));
    if (!held) co_return std::unexpected(std::move(held.error()));
    auto more = *held - before;
    for (const auto index : which) {
      const auto& each = operation(index);
      if (each.path != path || !each.point || !each.point->image || is_emptied_with(index, which)) continue;
      if (*held > before) stored_[index] = true;
      all = all && more-- > 0;
    }
  }
  co_return all;
}

/// An earlier try of this part was not answered: finds out which of its points arrived. Those that did not are sent
/// again only when the server had time enough to be done with it.
asio::awaitable<Answer<void>> Sending::settle_doubt() {
  applied_some_ = true;
  number();
  auto looked = co_await look_for(in_range());
  if (!looked) co_return looked;
  const auto all_images = co_await look_for_images();
  if (!all_images) co_return std::unexpected(all_images.error());
  const auto rest = in_range();
  const auto is_missing = [this](std::size_t index) {
    return operation(index).point.has_value() || takes_points(operation(index));
  };
  const auto since = call_.unclear_since->try_emplace(first_, call_.clock->now()).first->second;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(call_.clock->now() - since);
  if ((!*all_images || std::ranges::any_of(rest, is_missing)) && waited < call_.patience)
    co_return std::unexpected(still_in_doubt(call_.patience - waited));
  co_return Answer<void>{};
}

asio::awaitable<Answer<void>> Sending::run() {
  const auto size = batch_.operations.size();
  auto& range = intent_.range;
  range.upto = std::min(range.upto, size);
  while (range.from < size) {
    if (!intent_.made) range.upto = end_of_part(batch_.operations, range.from);
    auto done = co_await look_for_deleted();
    if (done && intent_.made) {
      done = co_await settle_doubt();
    } else if (done) {
      done = co_await look_at_series();
      number();
    }
    if (done && must_be_noted()) done = co_await note(true);
    if (!done) co_return done;
    done = co_await send(in_range());
    if (!done) co_return co_await failed(std::move(done.error()));
    call_.unclear_since->erase(first_);
    range.from = range.upto;
    intent_.made = applied_some_ = false;
  }
  co_return Answer<void>{};
}

/// What a failure leaves behind: whether the next try has to look.
asio::awaitable<Answer<void>> Sending::failed(Failure failure) {
  if (failure.in_doubt) {
    (*call_.unclear_since)[first_] = call_.clock->now();
  } else {
    (*call_.unclear_since)[first_] = call_.clock->now() - call_.patience;
    // Should this not be written, it is looked for.
    if (!applied_some_ && must_be_noted()) co_await note(false);
  }
  co_return std::unexpected(std::move(failure));
}

/// In as many requests as it takes.
asio::awaitable<Answer<void>> Sending::send(Which which) {
  for (std::size_t at = 0, most = *call_.most_operations; at < which.size();) {
    const auto count = std::min(most, which.size() - at);
    const Which sent(which.begin() + static_cast<std::ptrdiff_t>(at),
                     which.begin() + static_cast<std::ptrdiff_t>(at + count));
    std::vector<AttributeOperation> operations;
    for (const auto index : sent) operations.push_back(operation(index));
    auto errors = co_await outcome(call_.server->execute(container_, std::move(operations), call_.may_begin));
    Answer<void> heard;
    if (errors) {
      applied_some_ = true;
      heard = co_await hear(sent, std::move(*errors));
    } else if (errors.error().kind == Failure::Kind::too_large && count > 1) {
      most = (count + 1) / 2;
      if (errors.error().code == server::too_many_operations) *call_.most_operations = most;
      continue;
    } else if (errors.error().kind == Failure::Kind::too_large) {
      refuse(sent.front(), errors.error().code, operation(sent.front()).path + ": " + errors.error().message);
    } else {
      heard = std::unexpected(std::move(errors.error()));
    }
    if (!heard) co_return heard;
    at += count;
  }
  co_return Answer<void>{};
}

/// What the server refused of a request.
asio::awaitable<Answer<void>> Sending::hear(Which sent, std::vector<server::OperationError> errors) {
  std::set<std::size_t> suspects;
  const server::OperationError* unclear = nullptr;
  bool any = false;
  for (const auto& error : errors) {
    if (!error.index) {
      unclear = &error;
      any = any || error.may_be.empty();
      for (const auto each : error.may_be) suspects.insert(sent.at(each));
      continue;
    }
    const auto index = sent.at(*error.index);
    if (!gone_.contains(index)) refuse(index, error.code, error.message);
  }
  if (!unclear) co_return Answer<void>{};
  if (any) suspects.insert(sent.begin(), sent.end());
  std::erase_if(suspects, [this](std::size_t index) { return is_refused(index) || gone_.contains(index); });
  Which which(suspects.begin(), suspects.end());
  co_return co_await tell_apart(std::move(which), *unclear);
}

/// The server refused some of these and does not say which. The points that it holds are none of them; the rest is sent
/// again in halves until those of one change are alone.
asio::awaitable<Answer<void>> Sending::tell_apart(Which suspects, server::OperationError error) {
  auto looked = co_await look_for(suspects);
  if (!looked) co_return looked;
  std::erase_if(suspects, [this](std::size_t index) { return stored_[index]; });
  Which rest;
  for (const auto index : suspects) {
    const auto& point = operation(index).point;
    if (point && point->image) {
      refuse(index, "in_doubt",
             fmt::format("{}: an image of this series was refused, and the server does not say which ({}): look there, "
                         "then discard it or try it again",
                         operation(index).path, error.message));
    } else {
      rest.push_back(index);
    }
  }
  if (rest.empty()) co_return Answer<void>{};
  std::vector<sources::Position> changes;
  for (const auto index : rest) changes.push_back(batch_.operations[index].change);
  const auto middle = changes[changes.size() / 2];
  auto cut = std::ranges::find(changes, middle) - changes.begin();
  if (cut == 0) cut = std::ranges::find_if(changes, [middle](auto each) { return each != middle; }) - changes.begin();
  if (cut == std::ssize(changes)) {
    for (const auto index : rest) refuse(index, error.code, error.message);
    co_return Answer<void>{};
  }
  Which half(rest.begin(), rest.begin() + cut);
  auto sent = co_await send(std::move(half));
  if (!sent) co_return sent;
  half.assign(rest.begin() + cut, rest.end());
  co_return co_await send(std::move(half));
}

/// Where an earlier try of the changes from `first` on left off.
asio::awaitable<Answer<Intent>> look_back(Intents intents, sources::Position first) {
  auto kept = co_await outcome(intents.read(first));
  if (!kept) co_return std::unexpected(source_failure(std::move(kept.error())));
  if (!*kept) co_return Intent{};
  auto intent = read_intent(**kept);
  if (!intent) co_return std::unexpected(source_failure(std::move(intent.error())));
  if (!intent->made && intent->range.from == 0) co_return Intent{};
  co_return std::move(*intent);
}

}  // namespace

Failure still_in_doubt(std::chrono::milliseconds rest) {
  auto failure = source_failure(
      "in_doubt",
      "the last call was not answered and the server may still be at it: what of it did not arrive is sent "
      "again once the server had its time");
  failure.retry_after = std::max(rest, std::chrono::milliseconds(1));
  return failure;
}

Failure waiting_for_container(Failure failure) {
  if (says_missing(failure)) failure.kind = Failure::Kind::forbidden;
  return failure;
}

asio::awaitable<CallOutcome> update_attributes(AttributeCall call, std::shared_ptr<sources::Source> source,
                                               server::Addressed container,
                                               std::vector<sources::QueuedChange> changes) {
  CallOutcome done;
  const auto first = changes.front().position;
  auto begun = co_await look_back(call.intents, first);
  if (begun && begun->last != 0 && begun->last != changes.back().position) {
    auto carried = co_await outcome(source->changes(first, begun->last));
    if (carried) {
      changes = std::move(*carried);
    } else {
      begun = std::unexpected(source_failure(std::move(carried.error())));
    }
  }
  if (!begun) {
    done.answer = std::unexpected(begun.error());
    co_return done;
  }
  Sending sending(std::move(call), std::move(container), first, batch_of(changes), std::move(*begun));
  done.count = sending.batch().changes;
  done.last = sending.batch().last;
  auto sent = co_await sending.run();
  // Its container may still come, from here or elsewhere, as a run may where the server takes them by ingestion.
  if (!sent) done.answer = std::unexpected(waiting_for_container(sent.error()));
  done.refused = sending.refusals();
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
  return failure.code.ends_with("_not_found");
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
    done.refused.push_back({position, errors->front().code, errors->front().message});
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
