#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sandbox/http.h"

namespace neptune::sandbox {

/// What a fault does to a request; README.md, "Faults".
struct FaultEffect {
  enum class Drop : std::uint8_t { none, mid_body, before_processing, before_answer, mid_answer };
  Drop drop = Drop::none;
  std::optional<unsigned> status;   ///< this answer instead of the real one
  bool after_processing = false;    ///< the request takes effect first
  bool garbage = false;             ///< 200 with bytes that are neither protobuf nor JSON; the request takes effect
  std::string error_type, message;  ///< of `status`
  std::optional<unsigned> retry_after;
  std::chrono::milliseconds delay{0};       ///< before the answer
  std::chrono::milliseconds late{0};        ///< the request takes effect by itself, so much later
  std::uint64_t read_bytes_per_second = 0;  ///< 0: as fast as it comes

  bool replaces_answer() const { return status.has_value() || drop != Drop::none || garbage; }
};

/// Whom a fault strikes, and how often.
struct Fault {
  std::string path;                    ///< prefix of the request's path; empty: every API call
  std::string method;                  ///< empty: every method
  std::string workspace, project;      ///< "ws", "ws/project"; empty: all
  std::uint64_t skip = 0;              ///< requests it still lets pass first
  std::optional<std::uint64_t> times;  ///< requests it still strikes; none: all
  double probability = 1;
  FaultEffect effect;
};

/// Calls under /sandbox/ are never struck.
class Faults {
 public:
  void add(Fault fault) { faults_.push_back(std::move(fault)); }
  void clear() { faults_.clear(); }
  void seed(std::uint64_t value) { random_.seed(value); }
  std::size_t size() const { return faults_.size(); }
  std::uint64_t struck() const { return struck_; }  ///< requests, since the start

  /// What happens to this request. Delays add up, and the first answer or drop counts. Spends `times`.
  FaultEffect strike(const Request& request, const std::string& workspace, const std::string& project);

 private:
  std::vector<Fault> faults_;
  std::uint64_t struck_ = 0;
  std::mt19937_64 random_{1};
};

}  // namespace neptune::sandbox
