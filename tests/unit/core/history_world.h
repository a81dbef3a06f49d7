#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/core.h"

namespace neptune::core {

enum class Is : std::uint8_t { create, update, call };

struct Item {
  Position position = 0;
  Is is = Is::update;
  bool frees = false;
  bool discards = false;  ///< a removal that throws away what is held of what it removes
  bool poison = false;    ///< the server refuses it for good
  bool creates_project = false;
  std::vector<ContainerName> after{};
  Position follows = 0;  ///< of what assigns a file: its upload, at whose place it stands; 0: it stands at its own

  Position place() const { return follows != 0 ? follows : position; }
};

/// The ordered changes of one container: a run log, there from the beginning, or a lane of the change queue, whose
/// positions are tickets and which grows. What is durable on this side, and what the server holds.
struct Lane {
  ContainerName name;
  bool queued = false;
  bool passed = false;   ///< of the creates that passed the writes before them, of another lane
  bool assigns = false;  ///< of what assigns the files of its run that were handed in
  std::string parent{};
  std::vector<Item> items{};
  // durable on this side
  Position confirmed = 0;
  std::set<Position> rejected{}, discarded{};
  // at the server
  bool created = false;
  std::vector<Position> stored{};

  /// Of changes that may end a project's read-only mode.
  bool relieves() const {
    return name.kind == ContainerKind::management &&
           (name.id == limits_of_project || name.id == unarchiving_of_project);
  }
  bool frees() const { return name.kind == ContainerKind::removals || relieves(); }
  bool files() const { return name.kind == ContainerKind::files; }
  bool ingested() const { return name.kind == ContainerKind::run; }
  Position last() const { return items.empty() ? 0 : items.back().position; }
  /// The items after a position.
  std::vector<Item>::const_iterator next(Position after) const;
  /// The first that waits and stands before a place in the row of all lanes; none: the end.
  std::vector<Item>::const_iterator first_before(Position place) const;
  bool is_stored(Position position) const;
};

/// How a scope shows that it is read-only: by its answer, by the check of all or a part of a request, or (a workspace)
/// by an answer that only the status call explains.
enum class Style : std::uint8_t { http, check_all, check_part, bare };

struct ServerMode {
  bool read_only = false;
  Style style = Style::http;
};

struct Request {
  std::size_t lane;
  Position first, last;
  bool processed = false;
  RequestStatus status{};
};

/// The server's side: which scopes take writes, and what is stored, in which order. It tells `violate` what must not
/// happen to it.
class HistoryServer {
 public:
  HistoryServer(std::vector<Lane>& lanes, std::function<void(std::string)> violate)
      : lanes_(lanes), violate_(std::move(violate)) {}

  std::map<Scope, ServerMode> modes;
  std::set<ProjectName> missing_projects;  ///< until their create is stored

  /// The scope that keeps a project from being written, and how that shows.
  std::pair<std::optional<Scope>, ServerMode> mode_of(const ProjectName& project) const;
  bool is_created(const ContainerName& run) const;
  /// An ingest request is processed: its fate is then for the check to tell.
  void process(Request& request);
  /// A direct call is carried out; the positions that were refused.
  std::vector<Position> call(std::size_t lane, Position first, Position last);

 private:
  IngestCode store(Lane& lane, const Item& item);
  IngestCode keep(Lane& lane, Position position);

  std::vector<Lane>& lanes_;
  std::function<void(std::string)> violate_;
};

}  // namespace neptune::core
