#pragma once

#include <expected>
#include <utility>

/// Leaves the function with the error of a Result<void> that holds one. For .cpp files.
#define NEPTUNE_TRY(...) \
  if (auto result_ = (__VA_ARGS__); !result_) return std::unexpected(std::move(result_.error()))
