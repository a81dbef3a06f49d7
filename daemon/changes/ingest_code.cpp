#include "changes/ingest_code.h"

#include <cctype>

namespace neptune {

namespace {

std::string upper(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::string name(IngestCode code) {
  switch (code) {
#define NEPTUNE_CODE(c) \
  case IngestCode::c:   \
    return upper(#c);
    NEPTUNE_CODE(ok)
    NEPTUNE_CODE(batch_contains_dependent_runs)
    NEPTUNE_CODE(project_not_found)
    NEPTUNE_CODE(project_invalid_name)
    NEPTUNE_CODE(run_not_found)
    NEPTUNE_CODE(run_duplicate)
    NEPTUNE_CODE(run_conflicting)
    NEPTUNE_CODE(run_fork_parent_not_found)
    NEPTUNE_CODE(run_invalid_creation_parameters)
    NEPTUNE_CODE(field_path_exceeds_size_limit)
    NEPTUNE_CODE(field_path_empty)
    NEPTUNE_CODE(field_path_invalid)
    NEPTUNE_CODE(field_path_non_writable)
    NEPTUNE_CODE(field_type_unsupported)
    NEPTUNE_CODE(field_type_conflicting)
    NEPTUNE_CODE(series_point_duplicate)
    NEPTUNE_CODE(series_step_non_increasing)
    NEPTUNE_CODE(series_step_not_after_fork_point)
    NEPTUNE_CODE(series_timestamp_decreasing)
    NEPTUNE_CODE(float_value_nan_inf_unsupported)
    NEPTUNE_CODE(datetime_value_out_of_range)
    NEPTUNE_CODE(string_value_exceeds_size_limit)
    NEPTUNE_CODE(string_set_exceeds_size_limit)
    NEPTUNE_CODE(file_ref_exceeds_size_limit)
    NEPTUNE_CODE(series_step_too_large)
    NEPTUNE_CODE(series_step_invalid)
    NEPTUNE_CODE(series_preview_step_not_after_last_committed_step)
    NEPTUNE_CODE(histogram_bin_edges_contains_nan)
    NEPTUNE_CODE(histogram_too_many_bins)
    NEPTUNE_CODE(histogram_bin_edges_not_increasing)
    NEPTUNE_CODE(histogram_values_length_doesnt_match_bins)
    NEPTUNE_CODE(ingest_suspended)
    NEPTUNE_CODE(internal)
#undef NEPTUNE_CODE
  }
  return "INGEST_CODE_" + std::to_string(static_cast<std::int32_t>(code));
}

}  // namespace neptune
