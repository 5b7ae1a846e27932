// What becomes of a recurrent layer's gradient on its way back through time, as a chart.
#pragma once

#include <string>

#include "chainrule/trace_text.h"

namespace chainrule {

/// The norms of ∂h_last/∂h_t as bars, one a time step, and the product of Jacobians over the whole
/// sequence where it is small.
std::string through_time(const Trace& trace, const TraceSequence& sequence,
                         const TraceTextOptions& options);

}  // namespace chainrule
