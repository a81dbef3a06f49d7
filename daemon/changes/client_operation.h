#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/attributes.h"
#include "changes/names.h"
#include "support/error.h"

/// Operations as the 1.x client logs them (docs/protocol.md, "Containers and attribute operations"), and what they are
/// on the wire.
namespace neptune {

/// Files that an operation uploads. Paths are as the client wrote them: whoever opens them must not trust them.
struct ClientUpload {
  enum class What : std::uint8_t { file, content, file_set } what = What::file;
  std::string path;                ///< the attribute
  std::string ext;                 ///< file, content: without a dot
  std::string file_path;           ///< file: where it lies, when `tmp_file_name` is empty
  std::string tmp_file_name;       ///< file: its name in the directory's upload_path
  std::string content;             ///< content: base64
  std::vector<std::string> globs;  ///< file_set
  bool reset = false;              ///< file_set: it takes the place of what is there
};

/// A value that is copied from another attribute on the server.
struct ClientCopy {
  enum class Type : std::uint8_t { number, whole_number, truth, text, time };
  std::string path;
  std::string container_id;  ///< where it is copied from; of a run that was made offline, its local id
  ContainerKind container_kind = ContainerKind::run;
  std::string source_path;
  Type type = Type::number;
};

struct ClientOperation {
  std::vector<AttributeOperation> operations;  ///< each point of a series is one of its own
  struct LeftOut {
    std::string path, reason;  ///< a sentence
  };
  std::vector<LeftOut> left_out;  ///< what of it no server takes: NaN, artifacts
  std::optional<ClientUpload> upload{};
  std::optional<ClientCopy> copy{};
};

/// Reads one operation, the value of "obj" in a log. `at_ms`: when it was logged, for points that name no time. Errors:
/// "client_operation_invalid", "client_operation_unknown".
Result<ClientOperation> read_client_operation(std::string_view json, std::int64_t at_ms);

/// Whether it may be an upload or a copy, which is a call of its own. Costs little; sometimes yes where it is none.
bool may_go_alone(std::string_view json);

/// What assigns the value that is copied; `properties`: the server's answer on its source. Its digits stay as they are.
/// Error: "copied_value_unreadable".
Result<AttributeOperation> assignment_of_copy(const ClientCopy& copy, std::string_view properties);

}  // namespace neptune
