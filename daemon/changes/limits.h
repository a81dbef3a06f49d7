#pragma once

#include <cstddef>
#include <cstdint>

/// The server's documented limits. Each names where it comes from; sections are docs/protocol.md's.
namespace neptune::limits {

inline constexpr std::size_t request_bytes = 16u << 20;         ///< one ingest request: "Ingestion"
inline constexpr std::size_t snapshot_bytes = 2u << 20;         ///< one snapshot: "Ingestion"
inline constexpr std::size_t check_ids = 1000;                  ///< ids of one check: "Ingestion"
inline constexpr std::size_t run_id_bytes = 730;                ///< run id and experiment name: "Ingestion"
inline constexpr std::size_t field_path_bytes = 1024;           ///< "Ingestion"
inline constexpr std::size_t string_bytes = 1u << 20;           ///< "Ingestion"
inline constexpr std::size_t histogram_bin_edges = 513;         ///< "Ingestion"
inline constexpr std::uint64_t step_whole = 1'000'000'000'000;  ///< exclusive: "Ingestion"
inline constexpr std::uint32_t step_micro = 1'000'000;          ///< exclusive: "Ingestion"
inline constexpr std::size_t project_name_min = 3;              ///< characters: "Projects and workspaces"
inline constexpr std::size_t project_name_max = 128;            ///< characters: "Projects and workspaces"
inline constexpr std::size_t attribute_operations = 1000;  ///< of one request: "Containers and attribute operations"
inline constexpr std::size_t custom_id_characters = 36;    ///< of a run: "Containers and attribute operations"
inline constexpr std::size_t key_length = 10;              ///< of a project or model: "Projects and workspaces"

// The daemon's own, for what a local client hands in.
inline constexpr std::size_t change_bytes = snapshot_bytes;      ///< one queued change, whatever its kind
inline constexpr std::size_t change_values = 200'000;            ///< JSON values in one change
inline constexpr std::size_t json_depth = 32;                    ///< objects and arrays within each other
inline constexpr std::size_t idempotency_key_bytes = 256;        ///< as long as a digest and a prefix need
inline constexpr std::size_t file_path_bytes = 4095;             ///< Linux' PATH_MAX without its end
inline constexpr std::size_t name_bytes = 256;                   ///< of a workspace, project, user, model
inline constexpr std::size_t runs_per_change = 1000;             ///< run.trash and its like
inline constexpr std::int64_t datetime_min_s = -62'135'596'800;  ///< 0001-01-01, the first a wire timestamp may say
inline constexpr std::int64_t datetime_max_s = 253'402'300'799;  ///< 9999-12-31T23:59:59, the last
inline constexpr std::size_t changes_a_body = 100'000;           ///< what parsing takes in memory
inline constexpr std::size_t waits_a_body = 4 * changes_a_body;  ///< streams that they go after, some 200,000 runs'

}  // namespace neptune::limits
