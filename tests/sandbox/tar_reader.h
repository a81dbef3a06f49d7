#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "support/error.h"
#include "tests/sandbox/spool.h"

namespace neptune::sandbox {

/// Reads a tar archive compressed with gzip: `member` gets the name and the bytes of each regular file, in pieces; the
/// first piece of a file comes with `begins`, and a file without bytes has one piece, which is empty. Names are told as
/// they are; links and folders are left out. ustar, and pax headers for long names.
Result<void> read_tar_gz(
    const Blob& archive,
    const std::function<void(const std::string& name, std::string_view piece, bool begins)>& member);

}  // namespace neptune::sandbox
