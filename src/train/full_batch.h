// Training that sees all rows in every step.
#pragma once

#include <functional>
#include <memory>

#include "chainrule/train.h"

namespace chainrule {

/// fit() for an optimiser that works on the whole data set: L-BFGS on the loss over all rows, whose
/// gradient is summed over batches. It ends early at a minimum.
///
/// throws  UsageError for what makes the loss another each time (dropout, mixup, augmentation), and
///         for clipping and schedules, which have no meaning here.
FitResult fit_full_batch(const Sequential& model, const std::shared_ptr<Parameters>& parameters,
                         const Dataset& train, const Dataset* validation, const FitOptions& options,
                         const std::function<void(const Progress&)>& report);

}  // namespace chainrule
