#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "changes/attributes.h"
#include "core/types.h"
#include "sources/source.h"

namespace neptune::engine {

/// One operation of a change that goes with others.
struct BatchOperation {
  AttributeOperation operation;
  sources::Position change = 0;  ///< whose it is
  std::size_t place = 0;         ///< among the operations of that change
  /// Of a point, the operation of its change before it that empties or deletes its series, by its index within the
  /// batch: sent together with that one, and only so, it is safe to repeat.
  std::optional<std::size_t> emptied_by{};
};

/// The operations of some changes, as many of the first ones as can go in one call and be told apart afterwards: the
/// server names paths and no operations, so that no two changes of a batch do different things to one attribute.
struct AttributeBatch {
  std::vector<BatchOperation> operations{};
  std::uint64_t changes = 0;  ///< how many of them, the first ones
  sources::Position last = 0;
  std::vector<core::Refusal> refused{};  ///< unreadable, or with something that cannot be an attribute
};

/// None from the first that goes alone on.
AttributeBatch batch_of(const std::vector<sources::QueuedChange>& changes);

/// An operation that the server refused.
struct RefusedOperation {
  std::size_t index = 0;  ///< within the batch
  std::string code, reason;
};

/// What that means for the changes, in the order of their positions: each with which of its operations were refused
/// (core::Refusal::part), so that no other is sent again with it.
std::vector<core::Refusal> refusals_of(const AttributeBatch& batch, const std::vector<RefusedOperation>& refused);

/// What of a rejected change was refused, for people: the attributes of those operations, in order. Empty: all of it,
/// or that cannot be told. `payload` may be missing of a part that names its values (names_values).
std::vector<std::string> refused_attributes(ChangeKind kind, std::string_view part, const std::string& payload);
bool names_values(std::string_view part);

}  // namespace neptune::engine
