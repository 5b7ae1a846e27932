// What messages say about a name that is not known.
#include "base/nearest.h"

#include <doctest/doctest.h>

using namespace chainrule;

TEST_CASE("the nearest name is within a third of the letters; swapped neighbours are one mistake") {
  const std::vector<std::string> known{"species", "sepal_length", "id"};
  CHECK(nearest("specie", known) == "species");
  CHECK(nearest("speceis", known) == "species");
  CHECK(nearest("di", known) == "id");
  CHECK(nearest("petal_width", known).empty());
  CHECK(nearest(std::string(1000, 's'), known).empty());
  CHECK(did_you_mean("specie", known) == "; did you mean \"species\"?");
  CHECK(did_you_mean("weight", known).empty());
  CHECK(unknown_name("column", "di", known) ==
        "unknown column \"di\"; did you mean \"id\"? There are: species, sepal_length, id");
  CHECK(unknown_name("column", "weight", {"a", "b"}) ==
        "unknown column \"weight\". There are: a, b");
}

TEST_CASE("a list of names is cut where it gets long, never to leave out a single one") {
  const std::vector<std::string> names{"a", "b", "c", "d"};
  CHECK(quoted_list(names) == "\"a\", \"b\", \"c\" and \"d\"");
  CHECK(quoted_list(names, 3) == "\"a\", \"b\", \"c\" and \"d\"");
  CHECK(quoted_list(names, 2) == "\"a\", \"b\" and 2 more");
  CHECK(quoted_list(std::vector<std::string>{"a"}) == "\"a\"");
}
