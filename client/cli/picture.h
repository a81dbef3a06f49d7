#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "client/cli/text.h"
#include "client/cli/views.h"
#include "client/lib/types.h"

/// What `watch` shows, as lines: from what the daemon told lately and the size of the screen alone.
namespace neptune::cli {

/// Changes that were synced, a second each.
class Rates {
 public:
  /// The total, read at a time in seconds that only grows; the first says nothing of a rate. A total that shrinks (the
  /// state directory is another one) begins anew.
  void add(std::uint64_t synced, double at);
  double latest() const { return rates_.empty() ? 0 : rates_.back(); }
  /// The last `width` of them as a graph, newest on the right; blanks where nothing is known yet.
  std::string graph(std::size_t width) const;
  std::uint64_t highest(std::size_t width) const;

 private:
  static constexpr std::size_t kept = 512;
  std::deque<double> rates_;
  std::uint64_t synced_ = 0;
  double at_ = -1;
};

struct Watched {
  api::Status status{};
  std::vector<api::Stream> streams{};
  std::deque<api::Event> events{};  ///< newest last
  Rates rates{};
  std::string trouble{};  ///< why the daemon cannot be asked now; the rest is what it told last
};

/// At most `rows` lines of at most `style.width` columns.
std::vector<std::string> picture(const Watched& watched, const Style& style, std::size_t rows, Now now);

}  // namespace neptune::cli
