// Names for C. What the standard library declares in the headers used is taken from the start: a
// weight called y1 would otherwise clash with a Bessel function.
#include "explain/emit/c_names.h"

#include <cctype>

#include "notation/words.h"

namespace chainrule {
namespace {

constexpr std::string_view kReserved =
    // the language
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while asm typeof bool true false "
    // C++, in case somebody includes the file there
    "and bitand bitor catch class compl concept delete explicit export friend mutable namespace "
    "new not operator or private protected public requires template this throw try using virtual "
    "xor "
    // <math.h>, with the older names that some libraries keep
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp2 "
    "expm1 fabs fdim finite floor fma fmax fmin fmod frexp gamma hypot ilogb infinity isinf isnan "
    "j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan "
    "nearbyint nextafter pow remainder remquo rint round scalb scalbln scalbn signgam signbit "
    "significand sin sinh sqrt tan tanh tgamma trunc y0 y1 yn "
    // <string.h>, <stdio.h>
    "bcmp bcopy bzero index memchr memcmp memcpy memmove memset rindex printf stdin stdout stderr "
    // the file's own
    "real forward backward update main";

// The loops' indices come from kLoopNames in emit_c_loops.cpp and give way to the user's names.
std::string identifier(std::string_view wanted) {
  std::string name;
  for (const char c : wanted) name += is_word(c) ? c : '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) name = "v" + name;
  // Names with a leading underscore, and those in _t, belong to C.
  if (name[0] == '_') name = "v" + name;
  return name;
}

}  // namespace

CNames::CNames() {
  std::string_view rest = kReserved;
  while (!rest.empty()) {
    const std::size_t end = rest.find(' ');
    taken_.emplace(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

std::string CNames::take(std::string_view wanted) {
  const std::string base = identifier(wanted);
  std::string name = base;
  for (int n = 1; !taken_.insert(name).second; ++n) {
    name = base + "_" + (n == 1 ? "" : std::to_string(n));
  }
  return name;
}

}  // namespace chainrule
