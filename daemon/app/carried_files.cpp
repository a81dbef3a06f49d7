#include "app/carried_files.h"

#include <utility>

#include "support/try.h"

namespace neptune::app {

Result<void> write_file(CarriedFile head, const server::OpenFile& file, PortableWriter& writer) {
  head.size = file.size();
  const auto read = [&file](std::string& piece, std::uint64_t offset) {
    return file.read(offset, piece.data(), piece.size());
  };
  NEPTUNE_TRY(writer.add(head, read));
  return file.check();
}

}  // namespace neptune::app
