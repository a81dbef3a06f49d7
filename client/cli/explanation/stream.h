#pragma once

#include <string>
#include <vector>

#include "client/cli/explanation.h"
#include "client/lib/types.h"

namespace neptune::cli {

/// Whether nothing of it waits, and what there is of it is known.
bool is_done(const api::Stream& stream);

/// Why what streams hold is not on the server yet, by the words of the daemon and what else its status knows.
class StreamExplainer {
 public:
  /// `status` has to outlive it.
  StreamExplainer(const api::Status& status, Time now) : status_(status), now_(now) {}

  Explanation explain(const api::Stream& stream) const;
  /// Of what has nothing that waits: the streams of one run, or a single one; at least one.
  Explanation explain_done(const std::vector<const api::Stream*>& streams) const;

  Time now() const { return now_; }

 private:
  std::string where(const api::Stream& stream) const;
  std::string where_of_log(const api::Stream& stream) const;
  std::string next(const api::Stream& stream) const;

  const api::Status& status_;
  Time now_;
};

}  // namespace neptune::cli
