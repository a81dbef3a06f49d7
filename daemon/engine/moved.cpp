// What is told of changes that left for another machine in an exported file, until they are brought back.
#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "engine/engine.h"
#include "engine/impl/kind_name.h"

namespace neptune::engine {

namespace {

constexpr std::chrono::hours lately{24};
constexpr std::size_t listed = 20;

/// The stream that they were of, of which nothing else is known.
api::Stream left_stream(const ContainerName& container, std::string path) {
  api::Stream stream;
  stream.id = stream.source = std::move(path);
  stream.project = Scope::of(container.project).text();
  stream.container_type = name(container.kind);
  stream.container = container.id;
  stream.state = "done";
  stream.closed = true;
  return stream;
}

}  // namespace

/// With its files.
Moved Engine::moved_of(const Feed& feed) {
  auto moved = feed.moved;
  if (feed.files && feed.files->moved.count > 0) moved.add(feed.files->moved);
  return moved;
}

void Engine::tell_moved(api::Stream& stream, const Moved& moved) {
  if (moved.count == 0) return;
  Moved all{stream.moved, {}, stream.moved_to};
  all.add(moved);
  stream.moved = all.count;
  stream.moved_to = all.to;
  if (moved.at) stream.moved_at = std::max(stream.moved_at, std::optional(format_time(*moved.at)));
}

/// The queue keeps itself what left it: it is told with the stream of its container.
void Engine::add_moved_of_queue(std::vector<api::Stream>& list,
                                const std::function<bool(const ContainerName&)>& matches) const {
  if (!queue_ || queue_->moved().empty()) return;
  std::map<std::string, std::size_t> at;
  for (std::size_t i = 0; i < list.size(); ++i) at.emplace(list[i].id, i);
  for (const auto& moved : queue_->moved()) {
    if (!matches(moved.container)) continue;
    auto path = sources::queue_path(moved.container, sources::Lane::writes);
    const auto [known, is_new] = at.emplace(path, list.size());
    if (is_new) list.push_back(left_stream(moved.container, std::move(path)));
    tell_moved(list[known->second], {moved.count, moved.at, moved.file});
  }
}

/// What left is known before a source is followed: it leaves while no daemon runs.
void Engine::note_moved_from(const FeedPtr& feed) {
  std::erase_if(moved_from_, [&feed](const auto& each) { return each.expired() || each.lock() == feed; });
  moved_from_.push_back(feed);
}

void Engine::each_moved(const std::function<void(const ProjectName&, const Moved&)>& f) const {
  for (const auto& each : moved_from_)
    if (const auto feed = each.lock(); feed && !feed->finished) f(feed->info.container->project, feed->moved);
  for (const auto& finished : finished_)
    if (finished.moved.count > 0) f(finished.container.project, finished.moved);
  if (!queue_) return;
  for (const auto& moved : queue_->moved()) f(moved.container.project, {moved.count, moved.at, moved.file});
}

/// Once a project and file: for a day it is more than likely news to whoever asks.
std::vector<api::MovedAway> Engine::moved_lately() const {
  std::map<std::pair<ProjectName, std::string>, Moved> found;
  each_moved([this, &found](const ProjectName& project, const Moved& moved) {
    if (!moved.at || clock_.wall() - *moved.at > lately) return;
    auto& one = found[{project, moved.to}];
    one.count += moved.count;
    one.at = std::max(one.at, moved.at);
  });
  std::vector<api::MovedAway> list;
  for (const auto& [where, moved] : found)
    list.push_back({Scope::of(where.first).text(), moved.count, where.second, format_time(*moved.at)});
  std::ranges::stable_sort(list, std::greater<>(), &api::MovedAway::at);
  if (list.size() > listed) list.resize(listed);
  return list;
}

}  // namespace neptune::engine
