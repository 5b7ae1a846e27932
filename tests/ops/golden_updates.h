// The updates by the names that the golden cases give them.
#pragma once

#include <map>
#include <string>

#include "ops/golden_arguments.h"

namespace chainrule {

std::map<std::string, Build> update_builders();

}  // namespace chainrule
