// Label smoothing, mixup, averages of weights and varied images in training.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "chainrule/error.h"
#include "chainrule/train.h"
#include "train/loader.h"
#include "train/mixing.h"

using namespace chainrule;

namespace {

Tensor numbers(Shape shape, std::uint32_t seed) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (float& v : tensor.values<float>()) {
    seed = seed * 1664525 + 1013904223;
    v = static_cast<float>(seed >> 8) * 0x1p-24F;
  }
  return tensor;
}

// The loss of one step on three rows, by the reference interpreter.
struct Trial {
  const char* model;
  StepOptions options;
  std::int64_t classes = 4;

  double loss(const Tensor& x, const Tensor& target, double mix = 0,
              const std::vector<std::int32_t>& partner = {}) const {
    const Sequential network = Sequential::parse(model);
    const auto graph = training_step(network, {3, 5}, classes, options);
    TensorMap feed = initialize(network, {5}, 3);
    for (const Value& p : graph->parameters()) feed.try_emplace(p.name(), p.dtype(), p.shape());
    feed.insert_or_assign("x", x);
    feed.insert_or_assign("target", target);
    feed.insert_or_assign("lr", Tensor::of<float>({}, {0.1F}));
    feed.insert_or_assign("step", Tensor::of<float>({}, {1.0F}));
    if (!partner.empty()) {
      feed.insert_or_assign("mix", Tensor::of<double>({}, {mix}));
      feed.insert_or_assign("partner", Tensor::of<std::int32_t>({3}, partner));
    }
    return Evaluation(*graph, feed).outputs().at("loss").values<double>()[0];
  }
};

Tensor rows_of(const Tensor& x, std::vector<std::int64_t> rows) { return gather_rows(x, rows); }

// Eight images of a lit pixel, by where it is.
Dataset dots(std::int64_t rows) {
  Dataset data;
  data.x = Tensor(DType::kF32, {rows, 4, 4, 1});
  data.labels = Tensor(DType::kI32, {rows});
  data.classes = {"left", "right"};
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = static_cast<std::size_t>(row * 16 + row * 5 % 16);
    data.x.values<float>()[at] = 1;
    data.labels.values<std::int32_t>()[static_cast<std::size_t>(row)] = row * 5 % 4 < 2 ? 0 : 1;
  }
  return data;
}

TensorMap trained(const Dataset& data, const FitOptions& options) {
  auto parameters = std::make_shared<Parameters>();
  const Sequential model = Sequential::parse("flatten, linear 8, relu, linear 2");
  fit(model, parameters, data, nullptr, options);
  return parameters->tensors();
}

bool same_bits(const TensorMap& a, const TensorMap& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& p, const auto& q) {
           return p.first == q.first &&
                  std::memcmp(p.second.data(), q.second.data(), p.second.bytes()) == 0;
         });
}

}  // namespace

TEST_CASE("label smoothing spreads a share of the target over all classes") {
  const Tensor x = numbers({3, 5}, 1);
  const Tensor labels = Tensor::of<std::int32_t>({3}, {0, 3, 1});
  for (const char* model : {"linear 4", "linear 4, softmax"}) {
    CAPTURE(model);
    const double plain = Trial{model, {}}.loss(x, labels);
    double every = 0;  // the mean of the losses for every class
    for (std::int32_t c = 0; c < 4; ++c) {
      every += Trial{model, {}}.loss(x, Tensor::of<std::int32_t>({3}, {c, c, c})) / 4;
    }
    const double smooth = Trial{model, {.label_smoothing = 0.2}}.loss(x, labels);
    CHECK(smooth == doctest::Approx(0.8 * plain + 0.2 * every).epsilon(1e-9));
  }
}

TEST_CASE("mixup is the loss of mixed rows, for both targets in their shares") {
  const Tensor x = numbers({3, 5}, 1);
  const Tensor labels = Tensor::of<std::int32_t>({3}, {0, 3, 1});
  const std::vector<std::int32_t> partner{2, 0, 1};
  Tensor mixed = x;
  for (std::size_t i = 0; i < 15; ++i) {
    const std::size_t from = static_cast<std::size_t>(partner[i / 5]) * 5 + i % 5;
    mixed.values<float>()[i] = 0.75F * x.values<float>()[i] + 0.25F * x.values<float>()[from];
  }
  const double own = Trial{"linear 4", {}}.loss(mixed, labels);
  const double other = Trial{"linear 4", {}}.loss(mixed, rows_of(labels, {2, 0, 1}));
  const double got = Trial{"linear 4", {.mixup = true}}.loss(x, labels, 0.75, partner);
  CHECK(got == doctest::Approx(0.75 * own + 0.25 * other).epsilon(1e-6));
  CHECK(Trial{"linear 4", {.mixup = true}}.loss(x, labels, 1, partner) ==
        doctest::Approx(Trial{"linear 4", {}}.loss(x, labels)).epsilon(1e-9));

  const Tensor y = numbers({3, 1}, 9);
  Tensor mixed_y = y;
  for (std::size_t i = 0; i < 3; ++i) {
    mixed_y.values<float>()[i] = 0.75F * y.values<float>()[i] +
                                 0.25F * y.values<float>()[static_cast<std::size_t>(partner[i])];
  }
  CHECK(Trial{"linear 1", {.mixup = true}, 0}.loss(x, y, 0.75, partner) ==
        doctest::Approx(Trial{"linear 1", {}, 0}.loss(mixed, mixed_y)).epsilon(1e-6));
  CHECK_THROWS_AS((Trial{"linear 1", {.label_smoothing = 0.1}, 0}.loss(x, y)), UsageError);
  CHECK_THROWS_AS(training_step(Sequential::parse("embedding 3 vocabulary=4, linear 4"), {3, 2}, 4,
                                {.mixup = true}),
                  UsageError);
}

TEST_CASE("shares of mixup have the moments of their distribution; partners are a permutation") {
  for (const double alpha : {0.1, 0.4, 1.0, 3.0}) {
    CAPTURE(alpha);
    double mean = 0;
    double square = 0;
    constexpr int kDraws = 4000;
    for (std::uint32_t step = 1; step <= kDraws; ++step) {
      const double share = mixup_share(alpha, 5, step);
      REQUIRE((share >= 0 && share <= 1));
      mean += share / kDraws;
      square += share * share / kDraws;
    }
    CHECK(mean == doctest::Approx(0.5).epsilon(0.05));
    CHECK(square - mean * mean == doctest::Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.08));
  }
  CHECK(mixup_share(0.2, 5, 1) == mixup_share(0.2, 5, 1));
  CHECK(mixup_share(0.2, 5, 1) != mixup_share(0.2, 6, 1));
  std::vector<std::int32_t> partner(50);
  mixup_partners(partner, 5, 1);
  CHECK(std::set<std::int32_t>(partner.begin(), partner.end()).size() == 50);
  CHECK(*std::max_element(partner.begin(), partner.end()) == 49);
  CHECK(!std::is_sorted(partner.begin(), partner.end()));
}

TEST_CASE("validation and what is saved are the averages where the optimiser keeps them") {
  const Dataset data = dots(40);
  const Sequential model = Sequential::parse("flatten, linear 8, relu, linear 2");
  auto parameters = std::make_shared<Parameters>();
  FitOptions options;
  options.epochs = 3;
  options.batch = 8;
  options.optimizer = Optimizer::parse("adam ema=0.9");
  const FitResult result = fit(model, parameters, data, &data, options);
  const TensorMap used = final_weights(model, {4, 4, 1}, *parameters);
  CHECK(used.size() == 4);
  CHECK(std::memcmp(used.at("2.weight").data(), parameters->at("ema/2.weight").data(),
                    used.at("2.weight").bytes()) == 0);
  CHECK(std::memcmp(used.at("2.weight").data(), parameters->at("2.weight").data(),
                    used.at("2.weight").bytes()) != 0);
  auto averages = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : used) averages->set(name, tensor);
  Predictor predict(model, {4, 4, 1}, averages);
  CHECK(measure(model, predict(data.x), data).loss == result.validation.loss);
  Predictor raw(model, {4, 4, 1}, parameters);
  CHECK(measure(model, raw(data.x), data).loss != result.validation.loss);
  // Averages change nothing of the training itself.
  auto without = std::make_shared<Parameters>();
  options.optimizer = Optimizer::parse("adam");
  fit(model, without, data, &data, options);
  CHECK(std::memcmp(without->at("2.weight").data(), parameters->at("2.weight").data(),
                    used.at("2.weight").bytes()) == 0);
  CHECK(same_bits(final_weights(model, {4, 4, 1}, *without),
                  {{"2.bias", without->at("2.bias")},
                   {"2.weight", without->at("2.weight")},
                   {"4.bias", without->at("4.bias")},
                   {"4.weight", without->at("4.weight")}}));
}

TEST_CASE("a loader gives the same batch whether it was prepared ahead or not") {
  const Dataset data = dots(40);
  const Augmentation augmentation = Augmentation::parse("flip, crop 1");
  Loader loader(data.x, augmentation, 3);
  Loader other(data.x, augmentation, 3);
  const Augmentation none;
  Loader plain(data.x, none, 3);
  const std::vector<std::int64_t> a{3, 1, 4, 1, 5, 9, 2, 6};
  const std::vector<std::int64_t> b{5, 3, 5, 8, 9, 7, 9, 3};
  std::vector<std::byte> got(8 * 16 * sizeof(float));
  std::vector<std::byte> want(got.size());
  for (std::uint32_t epoch = 1; epoch < 20; ++epoch) {
    loader.ahead(a, epoch);
    loader.load(a, epoch, got);
    other.load(a, epoch, want);
    REQUIRE(got == want);
    loader.ahead(b, epoch);
    loader.load(a, epoch + 1, got);  // not the one that was prepared
    other.load(a, epoch + 1, want);
    REQUIRE(got == want);
  }
  plain.load(a, 1, got);
  CHECK(got != want);
  CHECK(std::memcmp(got.data(), gather_rows(data.x, a).data(), got.size()) == 0);
  const Tensor table(DType::kF32, {4, 3});
  CHECK_THROWS_WITH_AS(Loader(table, augmentation, 0),
                       "augmentation (flip, crop 1) is for images [H, W, C]; the data's rows are "
                       "[3]",
                       UsageError);
}

TEST_CASE("training with everything on gives the same bits each time, on any number of threads") {
  const Dataset data = dots(50);
  FitOptions options;
  options.epochs = 4;
  options.batch = 8;
  options.label_smoothing = 0.1;
  options.mixup = 0.4;
  options.augmentation = Augmentation::parse("flip, shift 1");
  options.optimizer = Optimizer::parse("lion ema=0.99");
  options.threads = 1;
  const TensorMap one = trained(data, options);
  options.threads = 5;
  CHECK(same_bits(one, trained(data, options)));
  options.augmentation = {};
  CHECK(!same_bits(one, trained(data, options)));
  options.label_smoothing = 1;
  CHECK_THROWS_AS(trained(data, options), UsageError);
  options.label_smoothing = 0;
  options.mixup = -1;
  CHECK_THROWS_AS(trained(data, options), UsageError);
}
