#pragma once

#include <string>
#include <utility>
#include <vector>

namespace neptune::sandbox {

/// A zip archive of files that are not compressed: name, bytes.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace neptune::sandbox
