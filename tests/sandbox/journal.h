#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "support/error.h"

namespace neptune::sandbox {

/// The state file: what happened, in order, so that doing it again gives the same state.
///
/// Records are one byte of kind, the length (4 bytes, little endian) and the bytes. A torn record at the end, left by a
/// kill, is cut off. Nothing is ever taken out.
class Journal {
 public:
  enum class Kind : char {
    key = 'K',        ///< the API token's secret
    control = 'C',    ///< a control call, JSON
    accepted = 'A',   ///< an ingest request: its id (16 bytes) and its body
    processed = 'P',  ///< the id of a request that was processed
    file = 'F',       ///< a file that became complete: project, path, bytes, hash, JSON
    call = 'W'        ///< another call that changed something: its time, method, path, query and body, JSON
  };

  /// Keeps nothing.
  Journal() = default;
  /// Reads the file through `replay`, then appends to it; it is made, mode 0600, when it is missing.
  static Result<Journal> open(const std::string& path, const std::function<void(Kind, std::string_view)>& replay);

  void write(Kind kind, std::string_view first, std::string_view second = {});

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace neptune::sandbox
