#include "client/lib/refusals.h"

#include <algorithm>
#include <array>

namespace neptune::api {

namespace {

struct Meaning {
  std::string_view code, text;
};

// The limits are the server's: docs/protocol.md, "Ingestion".
constexpr std::array meanings{
    Meaning{"RUN_CONFLICTING", "A run with this id is there already, and was created differently."},
    Meaning{"RUN_INVALID_CREATION_PARAMETERS", "The run's id, experiment or fork cannot be as they are given."},
    Meaning{"FIELD_PATH_EXCEEDS_SIZE_LIMIT", "The attribute's name is longer than 1024 bytes."},
    Meaning{"FIELD_PATH_EMPTY", "The attribute has no name."},
    Meaning{"FIELD_PATH_INVALID", "The attribute's name cannot be as it is, for instance with an empty part (a//b)."},
    Meaning{"FIELD_PATH_NON_WRITABLE", "The attribute is the server's own; log under another name."},
    Meaning{"FIELD_TYPE_CONFLICTING",
            "The attribute is there with another type: as a value where this is a point of a series, as a series where "
            "this is a value, or as a series of the other kind (numbers, texts); log under another name."},
    Meaning{"SERIES_STEP_NON_INCREASING",
            "Steps of a series must grow, and this one is not after the last that the server has."},
    Meaning{"SERIES_STEP_NOT_AFTER_FORK_POINT", "A forked run goes on after the step it was forked at."},
    Meaning{"SERIES_TIMESTAMP_DECREASING", "A point's time must not be before that of the point before it."},
    Meaning{"FLOAT_VALUE_NAN_INF_UNSUPPORTED", "The server takes no NaN and no infinity."},
    Meaning{"DATETIME_VALUE_OUT_OF_RANGE", "The time is one that the server cannot keep."},
    Meaning{"STRING_VALUE_EXCEEDS_SIZE_LIMIT", "The text is longer than 1 MiB."},
    Meaning{"SERIES_STEP_TOO_LARGE", "A step must be below 1,000,000,000,000."},
    Meaning{"SERIES_STEP_INVALID", "A step is a number from 0 on, with six decimal places at most."},
    Meaning{"SERIES_PREVIEW_STEP_NOT_AFTER_LAST_COMMITTED_STEP",
            "A preview is of a step after the last that is final already."},
    Meaning{"HISTOGRAM_BIN_EDGES_CONTAINS_NAN", "An edge of a histogram's bins is no number."},
    Meaning{"HISTOGRAM_TOO_MANY_BINS", "A histogram has at most 512 bins."},
    Meaning{"HISTOGRAM_BIN_EDGES_NOT_INCREASING", "The edges of a histogram's bins must grow."},
    Meaning{"HISTOGRAM_VALUES_LENGTH_DOESNT_MATCH_BINS", "A histogram has one value for each bin."},
};

}  // namespace

std::string_view meaning(std::string_view code) {
  const auto found = std::ranges::find(meanings, code, &Meaning::code);
  return found == meanings.end() ? std::string_view() : found->text;
}

}  // namespace neptune::api
