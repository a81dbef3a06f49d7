#pragma once

#include <cstdint>
#include <string>

namespace neptune {

/// The server's word on one value of an ingest request (docs/protocol.md, "Ingestion"). Codes not listed here arrive as
/// their number and count as refusals.
enum class IngestCode : std::int32_t {
  ok = 0,
  batch_contains_dependent_runs = 4,
  project_not_found = 8,
  project_invalid_name = 9,
  run_not_found = 10,
  run_duplicate = 11,
  run_conflicting = 12,
  run_fork_parent_not_found = 13,
  run_invalid_creation_parameters = 14,
  field_path_exceeds_size_limit = 16,
  field_path_empty = 17,
  field_path_invalid = 18,
  field_path_non_writable = 19,
  field_type_unsupported = 20,
  field_type_conflicting = 21,
  series_point_duplicate = 24,
  series_step_non_increasing = 25,
  series_step_not_after_fork_point = 26,
  series_timestamp_decreasing = 27,
  float_value_nan_inf_unsupported = 32,
  datetime_value_out_of_range = 33,
  string_value_exceeds_size_limit = 36,
  string_set_exceeds_size_limit = 37,
  file_ref_exceeds_size_limit = 38,
  series_step_too_large = 40,
  series_step_invalid = 41,
  series_preview_step_not_after_last_committed_step = 42,
  histogram_bin_edges_contains_nan = 50,
  histogram_too_many_bins = 51,
  histogram_bin_edges_not_increasing = 52,
  histogram_values_length_doesnt_match_bins = 53,
  ingest_suspended = 63,
  internal = 64,
};

/// "SERIES_STEP_NON_INCREASING"; "INGEST_CODE_99" for a code this page does not know.
std::string name(IngestCode code);

/// Stored already by an earlier try: as good as OK.
constexpr bool is_duplicate(IngestCode code) {
  return code == IngestCode::run_duplicate || code == IngestCode::series_point_duplicate;
}

}  // namespace neptune
