#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/names.h"
#include "support/error.h"

/// Wire bytes of an ingest request, put together from stored operations without parsing them.
///
/// A stored operation already is a serialized message. A request of updates is a short head (project, run id, the
/// length of what follows), then for each operation a frame head (one tag byte and the operation's length) and its
/// bytes.
namespace neptune::wire {

/// Bytes an operation of `size` bytes takes in a request of updates: frame head and payload.
std::uint64_t framed_size(std::uint64_t size);

/// Appends the frame head of an operation of `size` bytes.
void append_frame_head(std::string& out, std::uint64_t size);

/// The head of a request that updates a run; `framed_bytes` is the sum of framed_size over its operations.
std::string update_head(const ContainerName& run, std::uint64_t framed_bytes);

/// The whole request that creates a run. `create` is the stored operation (a serialized Run).
std::string create_request(const ContainerName& run, std::string_view create);

/// A run's parent, as its create names it.
struct Fork {
  ContainerName parent;
};

/// Reads the fork parent of a stored create; none when the run is not a fork. A fork point without a parent project
/// means the run's own project.
Result<std::optional<Fork>> read_fork(const ProjectName& project, std::string_view create);

/// The values of a stored update, each of which the server takes or refuses by itself: the attribute's path after '='
/// (assigned), '~' (a set that is changed) or '+' (a point), in one order. Empty where it cannot be read.
std::vector<std::string> values_of(std::string_view update);

/// The update with these values alone.
std::string with_values(std::string_view update, const std::vector<std::string>& values);

/// What a stored update is about, for people: "loss at step 3", "acc, loss, lr and 2 more"; empty where it cannot be
/// read.
std::string attributes_of(std::string_view update);

}  // namespace neptune::wire
