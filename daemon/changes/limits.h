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

}  // namespace neptune::limits
