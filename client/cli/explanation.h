#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/text.h"
#include "client/lib/types.h"

/// Why something is not on the server yet, in sentences, from what the daemon told: without a daemon or a terminal.
namespace neptune::cli {

using Time = std::chrono::system_clock::time_point;

/// What was asked about, as it was written: a run, a project, a workspace, a path, or the number of a change.
struct Question {
  std::string text;
  std::string path{};                        ///< absolute, when it may be a path; else empty
  bool is_there = true;                      ///< of a path: something is, as far as may be looked
  std::optional<std::string> project{};      ///< of what has that name in several projects, this one's, if it is there
  bool is_number = false;                    ///< it may be that of a change
  std::optional<api::ChangePlace> change{};  ///< when there is one of that number
  std::vector<api::Stream> of_file{};        ///< streams of which the file at `path` waits
  std::vector<api::Rejected> rejected{};     ///< newest first, as far as they were read
  Time now{};
};

/// One thing that waits, or does not.
struct Explanation {
  std::string subject;  ///< "Run r1 of ml-team/lab"
  std::string state;    ///< a sentence: how much of it is not on the server yet, and since when
  std::string where{};  ///< a sentence: where its changes are
  std::string why{};    ///< a sentence, or a few: what they wait for. Empty when nothing waits
  std::string next{};   ///< a sentence, or a few: what makes them move
  /// The daemon's word for what it waits for (api::Stream::waiting_for); for what is no stream: "set_aside",
  /// "left_to_client", "settling_in", "blocked", "uploads", "rejected", "read_only", "held", "waiting", "draining",
  /// "problem", "moved", "discarded", "unknown", "not_watched".
  std::string waiting_for = "nothing";
};

/// One for each stream, source and scope that is meant, those that wait first; for a scope, what its streams wait for
/// is told once a reason. Empty: the daemon knows nothing of that name.
std::vector<Explanation> explain(const Question& question, const api::Status& status,
                                 const std::vector<api::Stream>& streams);

std::string view(const std::vector<Explanation>& explanations, const Style& style);
/// `{"explanations":[{...}]}`, without a line end.
std::string to_json(const std::vector<Explanation>& explanations);
/// For a name nothing is known of: what the daemon does know, and what may be meant.
std::string nothing_known(const Question& question, const api::Status& status, const std::vector<api::Stream>& streams);

}  // namespace neptune::cli
