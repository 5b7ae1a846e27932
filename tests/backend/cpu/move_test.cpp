// Strided copies against an index walk, rows by index, and random numbers against their scalar
// form.
#include "backend/cpu/kernels/move.h"

#include <vector>

#include "backend/cpu/kernel_testing.h"
#include "backend/cpu/kernels/random.h"
#include "chainrule/error.h"

using namespace chainrule;
using namespace chainrule::cpu;

namespace {

struct Case {
  std::vector<std::int64_t> extents;
  std::vector<std::int64_t> from;
  std::vector<std::int64_t> to;
};

std::int64_t reach(const std::vector<std::int64_t>& extents,
                   const std::vector<std::int64_t>& strides) {
  std::int64_t last = 0;
  for (std::size_t k = 0; k < extents.size(); ++k) {
    if (extents[k] == 0) return 0;
    last += (extents[k] - 1) * strides[k];
  }
  return last + 1;
}

void check_copy(const Case& c) {
  const StridedCopy plan(c.extents, c.from, c.to);
  Guarded<float> source(reach(c.extents, c.from), 3);
  fill_random(source, -1, 1);
  const std::int64_t size = reach(c.extents, c.to);
  Guarded<float> whole(size, 5, -1.0F);
  Guarded<float> split(size, 6, -1.0F);
  Guarded<float> expected(size, 0, -1.0F);
  std::int64_t count = 1;
  for (const std::int64_t extent : c.extents) count *= extent;
  CHECK(plan.size() == count);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i;
    std::int64_t at_from = 0;
    std::int64_t at_to = 0;
    for (std::size_t k = c.extents.size(); k-- > 0;) {
      at_from += rest % c.extents[k] * c.from[k];
      at_to += rest % c.extents[k] * c.to[k];
      rest /= c.extents[k];
    }
    expected[at_to] = source[at_from];
  }
  copy(plan, source.data(), whole.data(), 0, count);
  for (std::int64_t at = 0; at < count;) {
    const std::int64_t end = std::min(count, at + 1 + at % 97 * 3);
    copy(plan, source.data(), split.data(), at, end);
    at = end;
  }
  CHECK(same_bits(whole.values(), expected.values()));
  CHECK(same_bits(split.values(), expected.values()));
  CHECK(whole.intact());
  CHECK(split.intact());
}

}  // namespace

TEST_CASE("a strided copy moves every element to its place, whole or in parts") {
  for_each_target([] {
    for (const std::int64_t m : {1, 2, 3, 4, 5, 16, 17, 31, 70}) {
      for (const std::int64_t n : {1, 2, 4, 7, 16, 33, 64, 67}) {
        check_copy({{n, m}, {1, n}, {m, 1}});                   // transpose
        check_copy({{m, n}, {0, 1}, {n, 1}});                   // a row, repeated
        check_copy({{m, n}, {1, 0}, {n, 1}});                   // a column, repeated
        check_copy({{m, n}, {n + 5, 1}, {n, 1}});               // slice
        check_copy({{m, n}, {n, 1}, {n + 5, 1}});               // into a slice
        check_copy({{3, n, m}, {m * n, 1, n}, {m * n, m, 1}});  // of each of a batch
        check_copy({{m, 3, n}, {n, m * n, 1}, {3 * n, n, 1}});  // heads of attention
        check_copy({{m, 2, n}, {1, m * n, m}, {2 * n, n, 1}});
        check_copy({{n, 3, m}, {1, n, 3 * n}, {3 * m, m, 1}});  // all axes reversed
      }
    }
    check_copy({{}, {}, {}});
    check_copy({{0, 4}, {4, 1}, {4, 1}});
    check_copy({{1, 7, 1}, {7, 1, 1}, {7, 1, 1}});
    check_copy({{2, 3, 4, 5}, {1, 2, 6, 24}, {60, 20, 5, 1}});
    check_copy(
        {{2, 1, 2, 1, 2, 3, 2, 2}, {1, 9, 2, 9, 4, 8, 24, 48}, {48, 48, 24, 24, 12, 4, 2, 1}});
  });
  CHECK(StridedCopy({2, 3, 4}, {12, 4, 1}, {12, 4, 1}).axes().size() == 1);
  const std::vector<std::int64_t> nine(9, 1);
  CHECK_THROWS_AS(StridedCopy(nine, nine, nine), ShapeError);
}

TEST_CASE("int32 bits survive a copy") {
  std::vector<std::int32_t> from(70);
  for (std::int32_t i = 0; i < 70; ++i) from[static_cast<std::size_t>(i)] = 0x7F800001 + i * 77;
  std::vector<std::int32_t> to(70);
  const StridedCopy transpose({10, 7}, {1, 10}, {7, 1});
  for_each_target([&] {
    copy(transpose, reinterpret_cast<const float*>(from.data()),
         reinterpret_cast<float*>(to.data()), 0, 70);
    for (std::size_t i = 0; i < 70; ++i) CHECK(to[i] == from[i % 7 * 10 + i / 7]);
  });
}

TEST_CASE("rows by index: gathered, scattered, one-hot; a bad index is reported") {
  for_each_target([] {
    for (const std::int64_t columns : {1, 5, 16, 33, 100}) {
      Guarded<float> table(4 * columns, 3);
      fill_random(table, -1, 1);
      Guarded<std::int32_t> index({2, 0, 2, 3, 1});
      Guarded<float> out(5 * columns, 1);
      CHECK(gather_rows(table.data(), 4, columns, index.data(), out.data(), 0, 5) == -1);
      bool good = true;
      for (std::int64_t i = 0; i < 5; ++i)
        for (std::int64_t c = 0; c < columns; ++c)
          good = good && out[i * columns + c] == table[index[i] * columns + c];
      CHECK(good);
      Guarded<float> back(4 * columns, 2);
      Guarded<float> split(4 * columns, 2);
      CHECK(scatter_add_rows(out.data(), index.data(), 5, columns, back.data(), 4, 0, columns) ==
            -1);
      for (std::int64_t c = 0; c < columns; c += 7)
        scatter_add_rows(out.data(), index.data(), 5, columns, split.data(), 4, c,
                         std::min(columns, c + 7));
      for (std::int64_t r = 0; r < 4; ++r)
        for (std::int64_t c = 0; c < columns; ++c)
          good = good && back[r * columns + c] ==
                             (r == 2 ? 2 * table[r * columns + c] : table[r * columns + c]);
      CHECK(good);
      CHECK(same_bits(back.values(), split.values()));

      Guarded<float> hot(5 * columns, 4);
      const std::int64_t first_bad = columns > 3 ? -1 : columns == 1 ? 0 : 0;
      CHECK(one_hot(index.data(), columns, hot.data(), 0, 5) == first_bad);
      for (std::int64_t i = 0; i < 5; ++i)
        for (std::int64_t c = 0; c < columns; ++c)
          good = good && hot[i * columns + c] == (c == index[i] ? 1.0F : 0.0F);
      CHECK(good);

      index[1] = -1;
      index[3] = 4;
      CHECK(gather_rows(table.data(), 4, columns, index.data(), out.data(), 0, 5) == 1);
      CHECK(gather_rows(table.data(), 4, columns, index.data(), out.data(), 2, 5) == 3);
      CHECK(out[columns] == 0.0F);
      CHECK(scatter_add_rows(out.data(), index.data(), 5, columns, back.data(), 4, 0, columns) ==
            1);
      for (Guarded<float>* array : {&table, &out, &back, &split, &hot}) CHECK(array->intact());
    }
  });
}

TEST_CASE("fill writes its range and nothing else") {
  for_each_target([] {
    for (std::int64_t n = 0; n <= 70; ++n) {
      Guarded<float> x(n, n);
      fill(x.data(), 2.5F, 0, n);
      CHECK(x.values() == std::vector<float>(static_cast<std::size_t>(n), 2.5F));
      CHECK(x.intact());
    }
  });
}

TEST_CASE("uniform numbers in bulk are those of the stream, bit for bit") {
  for_each_target([] {
    const PhiloxStream stream{0x123456789ABCDEFULL, 7, 42};
    // The last start lets the lower word of the block number wrap within the range.
    for (const std::int64_t start :
         {std::int64_t{0}, std::int64_t{5}, std::int64_t{1} << 20, (std::int64_t{1} << 34) - 100}) {
      for (const std::int64_t n : {0, 1, 3, 63, 64, 70, 500}) {
        std::vector<float> storage(static_cast<std::size_t>(n) + 2, -7.0F);
        // Element `start` is to land on storage[1].
        float* const out =
            reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(storage.data() + 1) -
                                     static_cast<std::uintptr_t>(start) * sizeof(float));
        uniform(stream, out, start, start + n);
        bool good = storage.front() == -7.0F && storage.back() == -7.0F;
        for (std::int64_t i = 0; i < n; ++i) {
          const double expected = stream.uniform(static_cast<std::uint64_t>(start + i));
          good = good && static_cast<double>(storage[static_cast<std::size_t>(i) + 1]) == expected;
        }
        INFO("from " << start << ", n " << n);
        CHECK(good);
      }
    }
  });
}
