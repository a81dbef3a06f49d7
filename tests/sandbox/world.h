#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sandbox/access.h"
#include "tests/sandbox/faults.h"
#include "tests/sandbox/http.h"
#include "tests/sandbox/ingest_queue.h"
#include "tests/sandbox/journal.h"
#include "tests/sandbox/object_store.h"
#include "tests/sandbox/store.h"
#include "tests/sandbox/traffic.h"

namespace neptune::sandbox {

/// Everything the routes work on.
struct World {
  World(boost::asio::any_io_executor executor, std::string url, std::string api_key)
      : access(std::move(url), std::move(api_key)), queue(executor, store, journal) {}

  Journal journal;
  Store store;
  Access access;
  Faults faults;
  IngestQueue queue;
  ObjectStore objects;
  Router router;
  /// False: there is no ingestion API, as on servers of the 2.x line.
  bool ingestion = true;
  Traffic traffic;
  /// More operations in one call are TOO_MANY_OPERATIONS.
  std::size_t max_operations = 1000;
  /// Whether operations refuse a series' point that does not come after the last one, instead of storing it again.
  bool increasing_steps = false;
  bool nameless_errors = false;  ///< of operations: they do not say their path
  /// Endpoint → status, or "dropped" → how many.
  std::map<std::string, std::map<std::string, std::uint64_t>> requests;
};

// One file an area: it adds its routes to the router.
void add_auth_api(World& world);
void add_ingest_api(World& world);
void add_workspace_api(World& world);
void add_project_api(World& world);
void add_member_api(World& world);
void add_service_account_api(World& world);
void add_container_api(World& world);
void add_attribute_api(World& world);
void add_leaderboard_api(World& world);
void add_download_api(World& world);
void add_trash_api(World& world);
void add_storage_api(World& world);
void add_attribute_upload_api(World& world);
void add_swagger_api(World& world);
void add_control_api(World& world);
void add_state_api(World& world);

/// A control call again, from the state file: only what lasts.
Result<void> replay_control(World& world, std::string_view settings);
/// A call of the API again, from the state file.
Result<void> replay_call(World& world, std::string_view record);
/// A file that became complete, from the state file.
Result<void> replay_file(World& world, std::string_view record);
/// Ends every fault and everything else that is not meant to last.
void end_faults(World& world);

}  // namespace neptune::sandbox
