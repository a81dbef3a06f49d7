#pragma once

#include "app/portable_file.h"
#include "server/source_file.h"
#include "support/error.h"

namespace neptune::app {

/// Writes a file that waits for its upload, as it is. An error when it changes meanwhile.
Result<void> write_file(CarriedFile head, const server::OpenFile& file, PortableWriter& writer);

}  // namespace neptune::app
