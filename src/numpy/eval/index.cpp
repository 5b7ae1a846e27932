// Reads an index and fits it to the axes of an array: whole numbers, slices, None, "...", arrays.
#include "numpy/eval/index.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "chainrule/ops.h"

namespace chainrule::numpy {
namespace {

// Fits an index to the axes of an array.
class IndexReader {
 public:
  IndexReader(Interpreter& in, const Expression& at, const Shape& shape, const Tape& tape)
      : in_(in), at_(at), shape_(shape), first_reading_(tape.uses().first_reading) {}

  Index read(const Expression& e) {
    const bool several = e.kind == ExpressionKind::kTuple;
    std::vector<const Expression*> parts;
    if (several) {
      for (const ExpressionPtr& child : e.children) parts.push_back(child.get());
    } else {
      parts.push_back(&e);
    }
    std::vector<Entry> entries;
    for (const Expression* part : parts) {
      Entry& entry = entries.emplace_back();
      if (part->kind == ExpressionKind::kSlice) {
        entry.slice = true;
        for (std::size_t i = 0; i < 3; ++i) {
          if (part->children[i]) entry.bounds[i] = in_.evaluate(*part->children[i]);
        }
      } else {
        entry.object = in_.evaluate(*part);
        const List* list = entry.object.list();
        if (!several && list != nullptr && list->tuple) {  // x[i] with i = (1, 2)
          const std::vector<Object> items = list->items;
          entries.pop_back();
          for (const Object& item : items) entries.emplace_back().object = item;
          break;
        }
      }
    }
    return fit(entries);
  }

  Index read(const Object& object) {
    std::vector<Entry> entries(1);
    entries[0].object = object;
    return fit(entries);
  }

 private:
  struct Entry {
    bool slice = false;
    std::array<Object, 3> bounds;
    Object object;
    bool dots() const {
      const Opaque* o = object.as<Opaque>();
      return o != nullptr && o->what == "...";
    }
  };

  Index fit(const std::vector<Entry>& entries) {
    std::size_t used = 0;
    for (const Entry& e : entries) {
      if (e.slice || (!e.object.nothing() && !e.dots())) ++used;
    }
    Index index;
    if (entries.size() == 1) {
      const ArrayPtr mask = entries[0].object.array();
      if (mask && mask->kind == Kind::kBool) {
        index.mask = mask;
        if (mask->shape.size() > shape_.size() ||
            !std::equal(mask->shape.begin(), mask->shape.end(), shape_.begin())) {
          fail(fmt::format("the mask has shape {}, the array {}", to_string(mask->shape),
                           to_string(shape_)));
        }
        return index;
      }
    }
    if (used > shape_.size()) {
      fail(fmt::format("{} indices for an array of shape {}", used, to_string(shape_)));
    }
    bool dots = false;
    for (const Entry& e : entries) {
      if (!e.slice && e.dots()) {
        if (dots) fail("two \"...\" in one index");
        dots = true;
        for (std::size_t i = used; i < shape_.size(); ++i) add_whole(index);
      } else if (!e.slice && e.object.nothing()) {
        index.added.push_back(true);
      } else {
        add(index, e);
      }
    }
    while (index.axes.size() < shape_.size()) add_whole(index);
    return index;
  }

  [[noreturn]] void fail(const std::string& message) const {
    in_.fail(at_, in_.text(at_) + ": " + message);
  }

  void add_whole(Index& index) const {
    AxisIndex axis;
    axis.stop = shape_[index.axes.size()];
    index.axes.push_back(axis);
    index.added.push_back(false);
  }

  void add(Index& index, const Entry& e) {
    const std::int64_t extent = shape_[index.axes.size()];
    add_whole(index);
    AxisIndex& axis = index.axes.back();
    if (e.slice) return slice(axis, e, extent);
    if (e.object.number() != nullptr && e.object.number()->kind != Kind::kBool) {
      std::int64_t i = in_.integer(at_, e.object, "an index");
      if (i < 0) i += extent;
      if (i < 0 || i >= extent) {
        fail(fmt::format("index {} is out of range for an axis of {} (shape {})",
                         in_.integer(at_, e.object, "an index"), extent, to_string(shape_)));
      }
      axis.start = i;
      axis.stop = i + 1;
      axis.drop = true;
      return;
    }
    const Object object = in_.to_array(at_, e.object);
    if (!object.array()) fail("expected whole numbers, slices or arrays of whole numbers");
    axis.array = checked(object.array(), extent);
  }

  void slice(AxisIndex& axis, const Entry& e, std::int64_t extent) {
    const auto bound = [&](std::size_t i, std::int64_t otherwise) {
      return e.bounds[i].nothing() ? otherwise : in_.integer(at_, e.bounds[i], "a slice");
    };
    const std::int64_t step = bound(2, 1);
    if (step == 0) fail("a slice's step cannot be 0");
    const auto within = [&](std::int64_t i, std::int64_t low, std::int64_t high) {
      if (i < 0) i += extent;
      return std::clamp(i, low, high);
    };
    if (step > 0) {
      axis.start = within(bound(0, 0), 0, extent);
      axis.stop = std::max(axis.start, within(bound(1, extent), 0, extent));
      if (step == 1) return;
    }
    const std::int64_t start = step > 0                ? axis.start
                               : e.bounds[0].nothing() ? extent - 1
                                                       : within(bound(0, 0), -1, extent - 1);
    const std::int64_t stop = step > 0                ? axis.stop
                              : e.bounds[1].nothing() ? -1
                                                      : within(bound(1, 0), -1, extent - 1);
    std::vector<double> all;
    for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
      all.push_back(static_cast<double>(i));
    }
    const Shape shape{static_cast<std::int64_t>(all.size())};
    axis.start = 0;
    axis.stop = extent;
    axis.array = known_array(Kind::kInteger, shape, std::move(all)).array();
  }

  ArrayPtr checked(ArrayPtr array, std::int64_t extent) {
    if (array->kind == Kind::kBool) fail("a mask among other indices is not read; use np.where");
    if (array->kind == Kind::kReal) {
      // A name of which only the shape is given turns out to hold whole numbers.
      if (first_reading_ && !array->source.empty()) return array;
      fail("the index array holds real numbers; make it whole, with .astype(int)");
    }
    std::vector<double> all = in_.tape().numbers(*array);
    bool negative = false;
    for (double& i : all) {
      negative = negative || i < 0;
      if (i < -static_cast<double>(extent) || i >= static_cast<double>(extent)) {
        fail(fmt::format("the index array holds {}, but the axis has {} elements (shape {})", i,
                         extent, to_string(shape_)));
      }
      if (i < 0) i += static_cast<double>(extent);
    }
    return negative ? known_array(Kind::kInteger, array->shape, std::move(all)).array() : array;
  }

  Interpreter& in_;
  const Expression& at_;
  const Shape& shape_;
  bool first_reading_;
};

}  // namespace

bool Index::basic() const {
  return mask == nullptr &&
         std::none_of(axes.begin(), axes.end(), [](const AxisIndex& axis) { return axis.array; });
}

bool counts_up(const Array& array) {
  if (!array.known || array.shape.size() != 1) return false;
  for (std::size_t i = 0; i < array.known->size(); ++i) {
    if ((*array.known)[i] != static_cast<double>(i)) return false;
  }
  return true;
}

bool is_pairs(const Index& index, const Shape& shape) {
  return shape.size() == 2 && index.axes[0].array && index.axes[1].array;
}

Part part_of(const Index& index) {
  Part part;
  for (const AxisIndex& axis : index.axes) {
    part.starts.push_back(axis.start);
    part.stops.push_back(axis.stop);
    part.kept.push_back(axis.stop - axis.start);
  }
  std::size_t axis = 0;
  for (const bool added : index.added) {
    if (added) {
      part.result.push_back(1);
      continue;
    }
    if (!index.axes[axis].drop) part.result.push_back(part.kept[axis]);
    ++axis;
  }
  return part;
}

Value cut(Value x, const Part& part) {
  const Value y = part.kept == x.shape() ? x : slice(x, part.starts, part.stops);
  return y.shape() == part.result ? y : reshape(y, part.result);
}

Index read_index(Interpreter& in, const Expression& at, const Shape& shape, const Expression& e) {
  return IndexReader(in, at, shape, in.tape()).read(e);
}

Index read_index(Interpreter& in, const Expression& at, const Shape& shape, const Object& index) {
  return IndexReader(in, at, shape, in.tape()).read(index);
}

}  // namespace chainrule::numpy
