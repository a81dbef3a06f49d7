#include "tests/campaign/changes.h"

#include <fmt/format.h>
#include <algorithm>

#include <atomic>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "changes/names.h"
#include "support/sqlite.h"
#include "tests/integration/all_kinds.h"
#include "tests/integration/box.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

std::string key_of(std::size_t round, std::size_t change) {
  return fmt::format("{}-{}", round, change);
}

/// Hands in round after round, a few changes a request, until it is told to stop or the daemon is gone. What was not
/// answered is handed in again, under the same keys.
class Client {
 public:
  explicit Client(unsigned seed) : random_(seed) {}

  void feed(Box& box) {
    while (!stopping_) {
      if (rounds.empty() || (rounds.back().changes.size() == next_ && asked_.empty())) {
        rounds.emplace_back(static_cast<int>(rounds.size()) + 1);
        next_ = 0;
      }
      if (!hand_in_some(box)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(random_() % 30));
    }
  }
  void stop() { stopping_ = true; }
  void resume() { stopping_ = false; }

  /// The rest of what was begun.
  bool finish(Box& box) {
    while (!asked_.empty() || next_ < rounds.back().changes.size())
      if (!hand_in_some(box)) return false;
    return true;
  }

  /// Of a request that was not answered: the key of its first change.
  std::optional<std::string> unanswered() const {
    if (asked_.empty()) return std::nullopt;
    return key_of(rounds.size(), asked_.front());
  }

  std::vector<AllKinds> rounds;
  std::map<std::int64_t, const AllKinds::Change*> by_id() const {
    std::map<std::int64_t, const AllKinds::Change*> out;
    for (const auto& [id, where] : ids_) out[id] = &rounds[where.first].changes[where.second];
    return out;
  }
  std::size_t acknowledged() const { return ids_.size(); }

 private:
  bool hand_in_some(Box& box) {
    if (asked_.empty())
      for (auto left = 1 + random_() % 4; left > 0 && next_ < rounds.back().changes.size(); --left)
        asked_.push_back(next_++);
    std::string body;
    for (const auto i : asked_) {
      const auto& change = rounds.back().changes[i];
      body += fmt::format(R"({}{{{}, "idempotency_key": "{}"}})", body.empty() ? "[" : ", ", change.text,
                          key_of(rounds.size(), i));
    }
    try {
      const auto [status, answer] = box.hand_in(body + "]");
      if (status != 202) {
        fmt::print("changes: refused with {}: {}\n", status, json::serialize(answer));
        return false;
      }
      for (std::size_t i = 0; i < asked_.size(); ++i) {
        ids_[answer.at("ids").at(i).as_int64()] = {rounds.size() - 1, asked_[i]};
      }
      asked_.clear();
      return true;
    } catch (const std::exception&) {
      return false;  // the daemon was killed
    }
  }

  std::mt19937 random_;
  std::size_t next_ = 0;            // of the last round
  std::vector<std::size_t> asked_;  // in a request that was not answered yet
  std::map<std::int64_t, std::pair<std::size_t, std::size_t>> ids_;
  std::atomic<bool> stopping_ = false;
};

/// What the killed daemon left on disk.
struct Left {
  struct Row {
    std::int64_t id;
    std::string container;  // as the API names it
    bool confirmed;         // the ledger has its outcome
  };
  std::vector<Row> rows;
  std::set<std::string> keys;
};

template <class F>
void each_row(const std::filesystem::path& file, const char* sql, F f) {
  auto db = neptune::sqlite::Database::open(file, {.access = neptune::sqlite::Access::create});
  if (!db) throw std::runtime_error(db.error().message);
  auto rows = db->prepare(sql);
  if (!rows) throw std::runtime_error(rows.error().message);
  for (auto row = rows->step(); row && *row; row = rows->step()) f(*rows);
}

std::string container_name(std::string_view project, std::int64_t kind, std::string_view id) {
  return fmt::format("{}|{}|{}", project, name(static_cast<ContainerKind>(kind)), id);
}

/// Read from copies, so that the daemon finds its files as it left them.
Left what_is_left(const Box& box) {
  TempDir copies;
  for (const auto& file : std::filesystem::directory_iterator(box.dir() / "state"))
    if (file.path().filename().string().find(".sqlite3") != std::string::npos &&
        file.path().filename().string().find("-shm") == std::string::npos)
      std::filesystem::copy_file(file, copies / file.path().filename());
  std::map<std::string, std::int64_t> confirmed;
  each_row(copies / "memory.sqlite3", "SELECT project, kind, container, confirmed FROM sources", [&](const auto& row) {
    confirmed[container_name(row.text(0), row.number(1), row.text(2))] = row.number(3);
  });
  Left left;
  each_row(
      copies / "changes.sqlite3",
      "SELECT seq, workspace || CASE project WHEN '' THEN '' ELSE '/' END || project, streams.kind, container FROM "
      "changes JOIN streams ON streams.id = stream ORDER BY seq",
      [&](const auto& row) {
        auto container = container_name(row.text(1), row.number(2), row.text(3));
        const bool done = confirmed[container] >= row.number(0);
        left.rows.push_back({row.number(0), std::move(container), done});
      });
  each_row(copies / "changes.sqlite3", "SELECT key FROM keys",
           [&](const auto& row) { left.keys.emplace(row.text(0)); });
  return left;
}

/// The streams that the daemon had a call out for, asked right before it is killed.
std::set<std::string> being_sent(Box& box) {
  std::set<std::string> names;
  try {
    const auto streams = box.get("/v1/streams");
    for (const auto& stream : streams.at("streams").as_array())
      if (stream.at("in_flight").as_int64() > 0)
        names.insert(fmt::format("{}|{}|{}", stream.at("project").as_string().c_str(),
                                 stream.at("container_type").as_string().c_str(),
                                 stream.at("container").as_string().c_str()));
  } catch (const std::exception&) {
    // It could not be asked: no kill is counted as falling into a call then.
  }
  return names;
}

struct Tally {
  int accept = 0, commit = 0, send = 0, answer = 0, settle = 0, none = 0;
};

/// Into which steps a kill fell; several at once, as several streams are under way.
void count(Tally& tally, const Client& client, const Left& left, const std::set<std::string>& sent,
           const json::value& state) {
  bool accept = false, commit = false, send = false, answer = false, settle = false;
  if (const auto key = client.unanswered()) (left.keys.contains(*key) ? commit : accept) = true;
  const auto known = client.by_id();
  std::set<std::string> begun;  // streams whose first row was looked at
  for (const auto& row : left.rows) {
    if (row.confirmed) {
      settle = true;
      continue;
    }
    if (!begun.insert(row.container).second) continue;
    const auto change = known.find(row.id);
    const bool stored = change != known.end() && change->second->seen && change->second->seen(state);
    if (stored) answer = true;
    if (!stored && sent.contains(row.container)) send = true;
  }
  tally.accept += accept;
  tally.commit += commit;
  tally.send += send;
  tally.answer += answer;
  tally.settle += settle;
  tally.none += !(accept || commit || send || answer || settle);
}

/// Changes that are told to wait, and sources that were just handed something and are not counted yet.
std::int64_t unsynced(Box& box) {
  const auto status = box.get("/v1/status");
  const auto& totals = status.at("totals");
  auto left = totals.at("pending").as_int64() + totals.at("held").as_int64() + totals.at("in_flight").as_int64();
  for (const auto& source : status.at("sources").as_array())
    left += source.at("state").as_string() == "settling_in" || source.at("state").as_string() == "blocked" ? 1 : 0;
  return left;
}

/// What is wrong in the end, a line each.
std::vector<std::string> faults(Box& box, const Client& client) {
  std::vector<std::string> wrong;
  const auto state = box.sandbox().state();
  for (const auto& round : client.rounds)
    if (auto misses = round.misses(state); !misses.empty()) wrong.push_back(std::move(misses));
  std::string all;
  for (std::size_t n = 1; n <= client.rounds.size(); ++n) all += fmt::format("{}{}", n == 1 ? "" : " ", n);
  if (values_at(state, {"containers", AllKinds::base_version, "series", "s"}) != all)
    wrong.push_back("the version's points");
  std::size_t doubted = 0;
  const auto listed = box.get("/v1/rejected?limit=1000");
  for (const auto& rejected : listed.at("rejected").as_array()) {
    if (rejected.at("code").as_string() == "in_doubt") {
      doubted++;
    } else {
      wrong.push_back("rejected: " + json::serialize(rejected));
    }
  }
  std::size_t versions = 0;
  for (const auto& [name, about] : state.at("containers").as_object())
    versions += text_at(about, {"type"}, "modelVersion") ? 1 : 0;
  const auto wanted = client.rounds.size() + 1;  // the first one is of the base
  if (versions > wanted || versions + doubted < wanted)
    wrong.push_back(fmt::format("{} versions of {}, {} in doubt", versions, wanted, doubted));
  fmt::print("changes: of {} versions to be made, {} are there and {} are kept for a person as in doubt\n", wanted,
             versions, doubted);
  return wrong;
}

}  // namespace

bool changes(int wanted) {
  Box box({.server = "request_timeout = \"2s\"", .config = "[queue]\nmin_free_disk = \"1MiB\"\n"});
  box.sandbox().control(AllKinds::control);
  if (box.hand_in(AllKinds::base).first != 202) return false;
  box.wait_synced();
  box.sandbox().control(R"({"processing_delay_ms": 20, "fault": {"path": "/api/", "delay_ms": 10}})");
  std::mt19937 random(1);
  Client client(2);
  Tally tally;
  const auto started = std::chrono::steady_clock::now();
  for (int kills = 0; kills < wanted; ++kills) {
    std::thread feeder([&client, &box] { client.feed(box); });
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(50, 450)(random)));
    const auto sent = being_sent(box);
    box.kill_daemon();
    client.stop();
    feeder.join();
    client.resume();
    count(tally, client, what_is_left(box), sent, box.sandbox().state());
    box.start_daemon();
  }
  box.sandbox().control(R"({"reset": true})");
  if (!client.finish(box)) return false;
  const auto until = std::chrono::steady_clock::now() + 180s;
  while (unsynced(box) > 0 && std::chrono::steady_clock::now() < until) {
    box.sync({"flush"});
    std::this_thread::sleep_for(200ms);
  }
  const auto wrong = faults(box, client);
  for (const auto& line : wrong) fmt::print("changes: {}\n", line);
  fmt::print(
      "changes: {} SIGKILLs over {:.0f} s, {} changes of 24 kinds acknowledged; kills before the commit of a request: "
      "{}, between its commit and its answer: {}, with a call out that the server had not applied: {}, applied and not "
      "recorded: {}, recorded and not taken out: {}, in none of these: {}; {} left\n",
      wanted, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(), client.acknowledged(),
      tally.accept, tally.commit, tally.send, tally.answer, tally.settle, tally.none, unsynced(box));
  // Few kills may all fall into some of the steps.
  const bool in_each =
      wanted < 100 || std::min({tally.accept, tally.commit, tally.send, tally.answer, tally.settle}) > 0;
  return wrong.empty() && unsynced(box) == 0 && in_each;
}

}  // namespace neptune::testing
