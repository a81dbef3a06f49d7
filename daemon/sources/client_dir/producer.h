#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

/// The process that writes a 1.x client's directory: the pid in the directory's name, if it is still that process.
namespace neptune::sources {

enum class Producer : std::uint8_t { alive, gone };

/// What /proc tells of one process.
struct ProcessFacts {
  bool there = false;
  bool ended = false;           ///< a zombie
  bool kernel = false;          ///< one of the kernel's own
  std::int64_t started_ms = 0;  ///< since 1970; 0: not known
};

/// From the text of /proc/<pid>/stat, and the time since 1970 at which the machine was started.
ProcessFacts parse_process(std::string_view stat, std::int64_t booted_ms, std::int64_t ticks_a_second);

/// Of a process on this machine. Blocks.
ProcessFacts look_at_process(std::int32_t pid);

/// Another process that was given the same pid later started after the directory was made. In doubt, it is alive.
Producer judge_producer(const ProcessFacts& process, std::int64_t created_ms);

/// Whether this process sees those of the whole machine, and not only those of a container.
bool sees_all_processes();

/// Whether any other process that this one may look at has a file of the directory open. Blocks: it looks at all of
/// them.
bool held_open_by_anybody(const std::filesystem::path& directory);

}  // namespace neptune::sources
