// Chains: random programs against a scalar evaluation that they must equal bit for bit, in place,
// cut anywhere, on rectangles, and for every function.
#include "backend/cpu/kernels/chain.h"

#include <algorithm>
#include <memory>

#include "backend/cpu/kernel_testing.h"
#include "chainrule/error.h"

using namespace chainrule;
using namespace chainrule::cpu;

namespace {

float scalar(Fn fn, float a, float b, float c) {
  switch (fn) {
    case Fn::kCopy: return a;
    case Fn::kNeg: return -a;
    case Fn::kAbs: return std::abs(a);
    case Fn::kRelu: return a <= 0 ? 0.0F : a;
    case Fn::kSign: return std::isnan(a) ? a : a > 0 ? 1.0F : a < 0 ? -1.0F : 0.0F;
    case Fn::kSquare: return a * a;
    case Fn::kFromInt: return static_cast<float>(std::bit_cast<std::int32_t>(a));
    case Fn::kAdd: return a + b;
    case Fn::kSub: return a - b;
    case Fn::kMul: return a * b;
    case Fn::kPow: return std::pow(a, b);
    case Fn::kMaximum: return std::isnan(a) ? a : std::isnan(b) ? b : std::max(b, a);
    case Fn::kMinimum: return std::isnan(a) ? a : std::isnan(b) ? b : std::min(b, a);
    case Fn::kLess: return a < b ? 1.0F : 0.0F;
    case Fn::kLessEqual: return a <= b ? 1.0F : 0.0F;
    case Fn::kGreater: return a > b ? 1.0F : 0.0F;
    case Fn::kGreaterEqual: return a >= b ? 1.0F : 0.0F;
    case Fn::kEqual: return a == b ? 1.0F : 0.0F;
    case Fn::kNotEqual: return a != b ? 1.0F : 0.0F;
    case Fn::kWhere: return a != 0 ? b : c;
    default: FAIL("no scalar form");
  }
  return 0;
}

constexpr Fn kExactFns[] = {Fn::kCopy,  Fn::kNeg,         Fn::kAbs,     Fn::kRelu,    Fn::kSign,
                            Fn::kAdd,   Fn::kSub,         Fn::kMul,     Fn::kMaximum, Fn::kMinimum,
                            Fn::kLess,  Fn::kLessEqual,   Fn::kGreater, Fn::kEqual,   Fn::kNotEqual,
                            Fn::kWhere, Fn::kGreaterEqual};

// A random program, its inputs, and its scalar evaluation.
class Program {
 public:
  Program(unsigned seed, std::int64_t rows, std::int64_t columns, int steps) : random_(seed) {
    const std::int64_t n = rows * columns;
    for (int k = 0; k < 4; ++k) {
      ChainOperand operand{};
      switch (k == 0 ? 0 : pick(7)) {
        case 0: break;
        case 1: operand = {1, 1}; break;
        case 2: operand = {1, columns}; break;
        case 3: operand = {columns, rows}; break;
        case 4: operand = {1, n}; break;
        case 5: operand = {columns, 0}; break;
        case 6: operand = {3, std::max<std::int64_t>(1, n / 7)}; break;
      }
      operands_.push_back(operand);
      registers_.push_back(chain.add_input(operand));
      const std::int64_t count = operand.period == 0 ? n / operand.inner : operand.period;
      inputs.push_back(std::make_unique<Guarded<float>>(count, pick(16)));
      for (std::int64_t i = 0; i < count; ++i)
        (*inputs.back())[i] = 0.25F * static_cast<float>(pick(17) - 8);
    }
    registers_.push_back(chain.add_constant(1.5F));
    for (int step = 0; step < steps; ++step) {
      const Fn fn = kExactFns[pick(static_cast<int>(std::size(kExactFns)))];
      const std::size_t count = registers_.size();
      Step s{fn, static_cast<std::size_t>(pick(static_cast<int>(count))),
             count - 1 - static_cast<std::size_t>(pick(std::min(4, static_cast<int>(count)))),
             static_cast<std::size_t>(pick(static_cast<int>(count)))};
      steps_.push_back(s);
      registers_.push_back(chain.add(fn, registers_[s.a], registers_[s.b], registers_[s.c]));
    }
    output_values = {registers_.size() - 1,
                     static_cast<std::size_t>(pick(static_cast<int>(registers_.size())))};
    for (const std::size_t value : output_values) chain.add_output(registers_[value]);
    chain.finish();
    for (std::int64_t k = 0; k < 2; ++k) expected.emplace_back(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<float> values;
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const ChainOperand& o = operands_[k];
        const std::int64_t run = i / o.inner;
        values.push_back((*inputs[k])[o.period == 0 ? run : run % o.period]);
      }
      values.push_back(1.5F);
      for (const Step& s : steps_)
        values.push_back(scalar(s.fn, values[s.a], values[s.b], values[s.c]));
      for (std::size_t k = 0; k < 2; ++k)
        expected[k][static_cast<std::size_t>(i)] = values[output_values[k]];
    }
  }

  Chain chain;
  std::vector<std::unique_ptr<Guarded<float>>> inputs;
  std::vector<std::size_t> output_values;
  std::vector<std::vector<float>> expected;

  std::vector<const float*> input_pointers() {
    std::vector<const float*> pointers;
    for (const auto& input : inputs) pointers.push_back(input->data());
    return pointers;
  }
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  struct Step {
    Fn fn;
    std::size_t a, b, c;
  };
  std::mt19937 random_;
  std::vector<ChainOperand> operands_;
  std::vector<Chain::Register> registers_;
  std::vector<Step> steps_;
};

// NaN-free programs, so equality of values is what is asked; −0 equals 0.
bool equal(const std::vector<float>& a, const std::vector<float>& b) { return a == b; }

void check_program(Program& program, std::int64_t rows, std::int64_t columns) {
  const std::int64_t n = rows * columns;
  const std::vector<const float*> inputs = program.input_pointers();
  Guarded<float> y0(n, program.pick(16));
  Guarded<float> y1(n, program.pick(16));
  float* const outputs[] = {y0.data(), y1.data()};
  program.chain.run(inputs.data(), outputs, 0, n);
  CHECK(equal(y0.values(), program.expected[0]));
  CHECK(equal(y1.values(), program.expected[1]));

  // Cut at odd places.
  for (std::int64_t i = 0; i < n; ++i) y0[i] = y1[i] = kNaN;
  for (std::int64_t at = 0; at < n;) {
    const std::int64_t end = std::min(n, at + 1 + program.pick(700));
    program.chain.run(inputs.data(), outputs, at, end);
    at = end;
  }
  CHECK(equal(y0.values(), program.expected[0]));
  CHECK(equal(y1.values(), program.expected[1]));

  // By rectangles, some of them whole rows, input 0 from a private block.
  for (std::int64_t i = 0; i < n; ++i) y0[i] = y1[i] = kNaN;
  const bool whole_rows = program.pick(2) == 0;
  const std::int64_t row_step = std::max<std::int64_t>(1, rows / 3);
  const std::int64_t column_step =
      whole_rows ? columns : std::max<std::int64_t>(1, columns * 2 / 3);
  for (std::int64_t r = 0; r < rows; r += row_step) {
    for (std::int64_t c = 0; c < columns; c += column_step) {
      const Rectangle rectangle{r, std::min(row_step, rows - r), c,
                                std::min(column_step, columns - c)};
      const std::int64_t stride = rectangle.columns + 3 * program.pick(2);
      Guarded<float> block(rectangle.rows * stride);
      for (std::int64_t i = 0; i < rectangle.rows; ++i)
        for (std::int64_t j = 0; j < rectangle.columns; ++j)
          block[i * stride + j] = inputs[0][(r + i) * columns + c + j];
      std::vector<const float*> others = inputs;
      const bool use_block = (r + c) % 2 == 0;
      if (use_block) others[0] = nullptr;
      program.chain.run_rectangle(others.data(), outputs, rectangle, columns,
                                  use_block ? block.data() : nullptr, stride);
    }
  }
  CHECK(equal(y0.values(), program.expected[0]));
  CHECK(equal(y1.values(), program.expected[1]));

  // In place: both outputs over full inputs where there are two, the first in any case.
  std::vector<float*> in_place = {program.inputs[0]->data(), y1.data()};
  program.chain.run(inputs.data(), in_place.data(), 0, n);
  CHECK(equal(program.inputs[0]->values(), program.expected[0]));
  CHECK(equal(y1.values(), program.expected[1]));
  CHECK(y0.intact());
  CHECK(y1.intact());
  for (const auto& input : program.inputs) CHECK(input->intact());
}

}  // namespace

TEST_CASE("random chains equal a scalar evaluation, cut anywhere, in place and by rectangles") {
  for_each_target([] {
    unsigned seed = 0;
    for (std::int64_t n = 1; n <= 70; ++n) {
      Program program(++seed, 1, n, 6);
      check_program(program, 1, n);
    }
    const std::int64_t shapes[][2] = {{3, 2},   {7, 10},   {64, 10},  {10, 64}, {5, 129},
                                      {33, 33}, {3, 700},  {2, 1500}, {900, 3}, {40, 1},
                                      {17, 65}, {300, 16}, {1, 5000}};
    for (const auto& shape : shapes) {
      for (const int steps : {1, 3, 9, 40}) {
        INFO("shape " << shape[0] << " x " << shape[1] << ", steps " << steps);
        Program program(++seed, shape[0], shape[1], steps);
        check_program(program, shape[0], shape[1]);
      }
    }
  });
}

TEST_CASE("special values pass through every function of a chain as in C and NumPy") {
  const float values[] = {kNaN, kInfinity, -kInfinity, 0.0F, -0.0F, 1.5F, -2.0F, 1.0F};
  for_each_target([&] {
    for (const Fn fn : {Fn::kNeg, Fn::kAbs, Fn::kRelu, Fn::kSign, Fn::kSquare, Fn::kAdd, Fn::kSub,
                        Fn::kMul, Fn::kPow, Fn::kMaximum, Fn::kMinimum, Fn::kLess, Fn::kLessEqual,
                        Fn::kGreater, Fn::kGreaterEqual, Fn::kEqual, Fn::kNotEqual, Fn::kWhere}) {
      Chain chain;
      const auto a = chain.add_input({});
      const auto b = chain.add_input({});
      const auto c = chain.add_input({});
      chain.add_output(chain.add(fn, a, b, c));
      chain.finish();
      Guarded<float> x(64);
      Guarded<float> z(64);
      Guarded<float> w(64, 0, 3.0F);
      Guarded<float> y(64);
      for (std::int64_t i = 0; i < 64; ++i) {
        x[i] = values[i / 8];
        z[i] = values[i % 8];
      }
      const float* const inputs[] = {x.data(), z.data(), w.data()};
      float* const outputs[] = {y.data()};
      chain.run(inputs, outputs, 0, 64);
      for (std::int64_t i = 0; i < 64; ++i) {
        const float expected = scalar(fn, x[i], z[i], 3.0F);
        INFO("function " << static_cast<int>(fn) << " of " << x[i] << ", " << z[i]);
        if (std::isnan(expected)) {
          CHECK(std::isnan(y[i]));
        } else {
          CHECK(y[i] == expected);
        }
      }
    }
  });
}

TEST_CASE("a chain of divisions, roots, fused products and integers is right to rounding") {
  for_each_target([] {
    Chain chain;
    const auto x = chain.add_input({});
    const auto label = chain.add_input({});
    const auto half = chain.add_constant(0.5F);
    const auto product = chain.add(Fn::kMulAdd, x, half, x);
    const auto root = chain.add(Fn::kSqrt, chain.add(Fn::kAbs, product));
    chain.add_output(chain.add(Fn::kDiv, root, chain.add(Fn::kFromInt, label)));
    chain.add_output(half);
    chain.finish();
    Guarded<float> a(1000, 3);
    Guarded<std::int32_t> integers(1000, 5, 0);
    fill_random(a, -4, 4);
    for (std::int32_t i = 0; i < 1000; ++i) integers[i] = i - 300;
    Guarded<float> y(1000, 1);
    Guarded<float> constant(1000, 2);
    const float* const inputs[] = {a.data(), reinterpret_cast<const float*>(integers.data())};
    float* const outputs[] = {y.data(), constant.data()};
    chain.run(inputs, outputs, 0, 1000);
    bool good = true;
    for (std::int64_t i = 0; i < 1000; ++i) {
      const double expected =
          std::sqrt(std::abs(1.5 * static_cast<double>(a[i]))) / static_cast<double>(integers[i]);
      good = good && near(y[i], expected, 3e-7) && constant[i] == 0.5F;
    }
    CHECK(good);
    CHECK(y.intact());
    CHECK(constant.intact());
  });
}

TEST_CASE("two outputs may swap two inputs in place") {
  Chain chain;
  const auto a = chain.add_input({});
  const auto b = chain.add_input({});
  chain.add_output(b);
  chain.add_output(a);
  chain.finish();
  Guarded<float> x(77, 0, 1.0F);
  Guarded<float> y(77, 0, 2.0F);
  const float* const inputs[] = {x.data(), y.data()};
  float* const outputs[] = {x.data(), y.data()};
  chain.run(inputs, outputs, 0, 77);
  CHECK(x.values() == std::vector<float>(77, 2.0F));
  CHECK(y.values() == std::vector<float>(77, 1.0F));
}

TEST_CASE("a chain names what it cannot build") {
  Chain empty;
  CHECK_THROWS_WITH_AS(empty.finish(), "elementwise chain: expected at least one output, got none",
                       Error);
  Chain chain;
  const auto x = chain.add_input({});
  CHECK_THROWS_WITH_AS(chain.add(Fn::kAdd, x, 7),
                       "elementwise chain: expected an operand below 1, got 7", Error);
  for (int i = 0; i < 200; ++i) chain.add_output(chain.add(Fn::kNeg, x));
  CHECK_THROWS_AS(chain.finish(), Error);
}
