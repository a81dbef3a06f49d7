#include "tests/integration/support/small_disk.h"

#include <sys/mount.h>

#include <fstream>
#include <string>

namespace neptune::testing {

SmallDisk::SmallDisk(int mebibytes)
    : mounted_(::mount("tmpfs", temp_.path().c_str(), "tmpfs", 0,
                       ("size=" + std::to_string(mebibytes) + "m").c_str()) == 0) {}

SmallDisk::~SmallDisk() {
  if (mounted_) ::umount2(temp_.path().c_str(), MNT_DETACH);
}

void SmallDisk::fill() const {
  std::ofstream out(path() / "filler", std::ios::binary | std::ios::app);
  const std::string block(4096, 'x');
  while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush());
}

void SmallDisk::make_room() const {
  std::filesystem::remove(path() / "filler");
}

}  // namespace neptune::testing
