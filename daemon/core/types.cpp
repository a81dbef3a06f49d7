#include "core/types.h"

namespace neptune::core {

Tally& Tally::operator+=(const Tally& other) {
  pending += other.pending;
  held += other.held;
  in_flight += other.in_flight;
  bytes += other.bytes;
  held_bytes += other.held_bytes;
  return *this;
}

Tally& Tally::operator-=(const Tally& other) {
  pending -= other.pending;
  held -= other.held;
  in_flight -= other.in_flight;
  bytes -= other.bytes;
  held_bytes -= other.held_bytes;
  return *this;
}

}  // namespace neptune::core
