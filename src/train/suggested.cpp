// Defaults for a table of unknown content. They were chosen on iris, the digits, the census and the
// housing data; none is a tuned optimum.
#include <algorithm>

#include "base/format.h"
#include "chainrule/train.h"

namespace chainrule {

std::string suggested_model(std::int64_t rows, std::int64_t features, std::int64_t classes) {
  const std::int64_t outputs = std::max<std::int64_t>(classes, 1);
  if (rows < 1000) return fmt::format("linear 32, relu, linear {}", outputs);
  const std::int64_t width = features >= 32 ? 256 : 128;
  if (classes == 0) {
    return fmt::format("linear {0}, relu, linear {0}, relu, linear 1", width);
  }
  return fmt::format("linear {}, relu, dropout 0.3, linear {}, relu, dropout 0.3, linear {}", width,
                     width / 2, outputs);
}

std::int64_t suggested_batch(std::int64_t rows) { return rows < 500 ? 16 : rows < 5000 ? 32 : 128; }

std::int64_t suggested_epochs(std::int64_t rows, std::int64_t batch) {
  constexpr std::int64_t kSteps = 3000;
  const std::int64_t steps_an_epoch = std::max<std::int64_t>((rows + batch - 1) / batch, 1);
  return std::clamp<std::int64_t>(kSteps / steps_an_epoch, 10, 100);
}

FitOptions usual_options(FitOptions options, std::int64_t rows) {
  constexpr std::int64_t kFullBatchSteps = 100;
  if (options.batch == 0) options.batch = suggested_batch(rows);
  if (options.epochs == 0) {
    options.epochs = options.optimizer.is_full_batch()
                         ? kFullBatchSteps
                         : suggested_epochs(rows, std::max<std::int64_t>(options.batch, 1));
  }
  if (options.lr == 0) options.lr = options.optimizer.usual_rate();
  return options;
}

}  // namespace chainrule
