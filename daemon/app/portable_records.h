#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sources/change_queue/queue_store.h"
#include "sources/source.h"

/// What the lines of a portable file hold (portable_file.h), and their JSON.
namespace neptune::app {

/// What is not sent of a run log, or of a 1.x client's directory, and where it lay.
struct CarriedLog {
  sources::Kind kind = sources::Kind::run_log;
  sources::SourceKey key{};    ///< on the machine that it comes from
  std::string name{};          ///< of its directory: a plain one
  sources::Position last = 0;  ///< up to where its operations follow
  std::string project{};       ///< of a run log its own; of a run that was made offline where it is to be created
  // Of a run log:
  std::string run{};
  sources::Position last_file = 0;  ///< up to where its requests for files follow
  // Of a directory:
  bool offline = false;
  std::string metadata{};       ///< its metadata.json
  sources::Position put = 0;    ///< what the client counted
  std::int64_t written_ms = 0;  ///< when the client wrote to it last
};

struct CarriedOperation {
  sources::Position position = 0;
  bool creates = false;  ///< of a run log
  double at = 0;         ///< of a run log milliseconds since 1970, of a directory seconds, as the client writes it
  std::string bytes{};
};

/// A file that waits for its upload: of the log before it, or of the change after it.
struct CarriedFile {
  std::string name{};  ///< a plain one
  std::uint64_t size = 0;
  // Of a run log's request:
  sources::Position id = 0;
  std::string destination{}, mime_type{};
};

/// Of a directory or file whose name comes from outside: no path, no "." or "..", nothing that a terminal would act on.
bool is_plain_name(std::string_view name);

boost::json::object json_of(const sources::QueueStore::Whole& change);
boost::json::object json_of(const CarriedLog& log);
boost::json::object json_of(const CarriedFile& file);
/// Without its bytes.
boost::json::object json_of(const CarriedOperation& operation);

// Each throws what the JSON library throws of a line that is not as it should be, or std::invalid_argument.
sources::Handed change_of(const boost::json::object& line);
CarriedLog log_of(const boost::json::object& line);
CarriedFile file_of(const boost::json::object& line);
CarriedOperation operation_of(const boost::json::object& line);
std::string bytes_of(const boost::json::object& line, const char* key);

}  // namespace neptune::app
