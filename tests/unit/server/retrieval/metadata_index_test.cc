#include "server/retrieval/metadata_index.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"

namespace aibackend::retrieval {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<Slot> SlotsOf(const RowSet& rows) {
  std::vector<Slot> slots;
  for (Slot slot = 0; slot < 4096; ++slot) {
    if (rows.Contains(slot)) slots.push_back(slot);
  }
  return slots;
}

class MetadataIndexTest : public testing::Test {
 protected:
  void Add(const std::string& metadata) {
    index_.Add(next_, FlattenMetadata(metadata));
    metadata_.push_back(metadata);
    ++next_;
  }
  void Remove(Slot slot) { index_.Remove(slot, FlattenMetadata(metadata_[slot])); }
  std::vector<Slot> Select(const std::string& filter) const {
    const auto rows = index_.Select(ParseFilter(filter, "filter").value());
    EXPECT_TRUE(rows.ok()) << filter << ": " << rows.status();
    return rows.ok() ? SlotsOf(*rows) : std::vector<Slot>();
  }

  MetadataIndex index_;
  std::vector<std::string> metadata_;
  Slot next_ = 0;
};

TEST_F(MetadataIndexTest, KindsAreComparedWithTheirOwnKindOnly) {
  Add(R"({"v":1})");
  Add(R"({"v":"1"})");
  Add(R"({"v":true})");
  Add(R"({"v":null})");
  EXPECT_THAT(Select(R"({"v":1})"), ElementsAre(0));
  EXPECT_THAT(Select(R"({"v":"1"})"), ElementsAre(1));
  EXPECT_THAT(Select(R"({"v":true})"), ElementsAre(2));
  EXPECT_THAT(Select(R"({"v":{"lte":1}})"), ElementsAre(0));
  EXPECT_THAT(Select(R"({"v":{"gte":-1e308}})"), ElementsAre(0));
  EXPECT_THAT(Select(R"({"v":{"gte":""}})"), ElementsAre(1));
  EXPECT_THAT(Select(R"({"v":{"lt":"2"}})"), ElementsAre(1));
  EXPECT_THAT(Select(R"({"v":{"exists":true}})"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Select(R"({"v":{"exists":false}})"), ElementsAre(3));
}

TEST_F(MetadataIndexTest, NestedFieldsAndListsAreReachedByTheirPath) {
  Add(R"({"author":{"name":"Ada","born":{"year":1815}},"tags":["a","b",["c"]]})");
  Add(R"({"author":{},"tags":[]})");
  Add(R"({"author":[{"name":"Bob"},{"name":"Ada"}],"tags":"a"})");
  EXPECT_THAT(Select(R"({"author.name":"Ada"})"), ElementsAre(0, 2));
  EXPECT_THAT(Select(R"({"author.born.year":{"lt":1900}})"), ElementsAre(0));
  EXPECT_THAT(Select(R"({"author":{"exists":true}})"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Select(R"({"author":"Ada"})"), IsEmpty());
  EXPECT_THAT(Select(R"({"tags":{"exists":false}})"), ElementsAre(1));
  EXPECT_THAT(Select(R"({"tags":"a"})"), ElementsAre(0, 2));
  EXPECT_THAT(Select(R"({"tags":"c"})"), ElementsAre(0));
  EXPECT_THAT(Select(R"({"tags":{"in":["b","z"]}})"), ElementsAre(0));
}

TEST_F(MetadataIndexTest, OfAListEachConditionMayFitAnotherElement) {
  Add(R"({"years":[2001,2030]})");
  EXPECT_THAT(Select(R"({"years":{"gt":2025,"lt":2005}})"), ElementsAre(0));
}

TEST_F(MetadataIndexTest, AFieldThatNoDocumentHasIsNamedWithThoseThatAreKnown) {
  for (int i = 0; i < 12; ++i) Add(absl::StrCat("{\"field", 10 + i, "\":", i, "}"));
  const auto rows = index_.Select(ParseFilter(R"({"feild10":0})", "retrieval.filter").value());
  EXPECT_EQ(ReasonOf(rows.status()), Reason::FILTER_FIELD_UNKNOWN);
  EXPECT_EQ(FieldOf(rows.status()), "retrieval.filter.feild10");
  EXPECT_THAT(std::string(rows.status().message()),
              HasSubstr("field10, field11, field12, field13, field14, field15, field16, field17, "
                        "field18, field19 and 2 more"));
}

TEST_F(MetadataIndexTest, ExistsMayAskForAnyField) {
  Add("{}");
  EXPECT_THAT(Select(R"({"draft":{"exists":true}})"), IsEmpty());
  EXPECT_THAT(Select(R"({"draft":{"exists":false}})"), ElementsAre(0));
}

TEST_F(MetadataIndexTest, AFieldIsForgottenWithItsLastDocument) {
  Add(R"({"lang":"en"})");
  Add("{}");
  Remove(0);
  EXPECT_EQ(ReasonOf(index_.Select(ParseFilter(R"({"lang":"en"})", "filter").value()).status()),
            Reason::FILTER_FIELD_UNKNOWN);
  Remove(1);
  EXPECT_THAT(Select(R"({"lang":"en"})"), IsEmpty()) << "an empty collection knows no field";
}

// --- Against a scan of all metadata

// What documents.proto says of a filter, read from the JSON itself.
void ValuesAt(const Json& json, const std::string& path, std::vector<Json>& values) {
  if (json.is_array()) {
    for (const Json& element : json) ValuesAt(element, path, values);
  } else if (path.empty()) {
    if (!json.is_null()) values.push_back(json);
  } else if (json.is_object()) {
    const size_t dot = path.find('.');
    const auto member = json.find(path.substr(0, dot));
    if (member == json.end()) return;
    ValuesAt(*member, dot == std::string::npos ? "" : path.substr(dot + 1), values);
  }
}

bool Fits(const Json& value, const std::string& op, const Json& operand) {
  const bool is_same_kind = (value.is_number() && operand.is_number()) ||
                            (value.is_string() && operand.is_string()) ||
                            (value.is_boolean() && operand.is_boolean());
  if (op == "in") {
    return std::any_of(operand.begin(), operand.end(),
                       [&](const Json& one) { return Fits(value, "eq", one); });
  }
  if (!is_same_kind) return false;
  if (op == "eq") return value == operand;
  if (op == "lt") return value < operand;
  if (op == "lte") return value <= operand;
  if (op == "gt") return value > operand;
  return value >= operand;
}

bool Fits(const Json& metadata, const Json& filter) {
  for (const auto& [path, operators] : filter.items()) {
    std::vector<Json> values;
    ValuesAt(metadata, path, values);
    for (const auto& [op, operand] : operators.items()) {
      if (op == "exists") {
        if (values.empty() == operand.get<bool>()) return false;
        continue;
      }
      if (std::none_of(values.begin(), values.end(), [&, &name = op, &to = operand](const Json& v) {
            return Fits(v, name, to);
          })) {
        return false;
      }
    }
  }
  return true;
}

class RandomMetadata {
 public:
  explicit RandomMetadata(uint32_t seed) : random_(seed) {}

  int Below(int bound) { return std::uniform_int_distribution<>(0, bound - 1)(random_); }

  Json Scalar() {
    switch (Below(4)) {
      case 0:
        return Below(2) == 0;
      case 1:
        return std::string(1, static_cast<char>('a' + Below(4)));
      case 2:
        return Below(5) / 2.0;
      default:
        return Below(5);
    }
  }
  Json Value(int depth) {
    const int kind = Below(10);
    if (kind == 0) return nullptr;
    if (kind <= 2 && depth > 0) {
      Json list = Json::array();
      for (int i = Below(4); i > 0; --i) list.push_back(Value(depth - 1));
      return list;
    }
    if (kind <= 4 && depth > 0) return Object(depth - 1);
    return Scalar();
  }
  Json Object(int depth) {
    Json object = Json::object();
    for (int i = Below(4); i > 0; --i) object[Name()] = Value(depth);
    return object;
  }
  Json Filter() {
    static constexpr const char* kOperators[] = {"eq", "in", "lt", "lte", "gt", "gte", "exists"};
    Json filter = Json::object();
    for (int i = 1 + Below(2); i > 0; --i) {
      std::string path = Name();
      if (Below(3) == 0) path += "." + Name();
      Json operators = Json::object();
      for (int n = 1 + Below(2); n > 0; --n) {
        const std::string op = kOperators[Below(7)];
        operators[op] = Operand(op);
      }
      filter[path] = operators;
    }
    return filter;
  }

 private:
  std::string Name() { return std::string(1, static_cast<char>('p' + Below(4))); }
  Json Operand(const std::string& op) {
    if (op == "exists") return Below(2) == 0;
    if (op == "in") {
      Json list = Json::array();
      for (int i = 1 + Below(3); i > 0; --i) list.push_back(Scalar());
      return list;
    }
    Json value = Scalar();
    while (op != "eq" && value.is_boolean()) value = Scalar();
    return value;
  }

  std::mt19937 random_;
};

TEST_F(MetadataIndexTest, SelectsWhatAScanWouldWhileDocumentsComeAndGo) {
  RandomMetadata random(20240607);
  std::vector<absl::optional<Json>> stored;
  int selected = 0;
  int unknown = 0;
  for (int round = 0; round < 150; ++round) {
    for (int i = random.Below(12); i > 0; --i) {
      const Json metadata = random.Object(3);
      for (int chunk = 1 + random.Below(3); chunk > 0; --chunk) {
        Add(metadata.dump());
        stored.emplace_back(metadata);
      }
    }
    // Every third round more goes than came, so that postings are compacted and fields forgotten.
    for (int i = random.Below(round % 3 == 2 ? 60 : 8); i > 0 && !stored.empty(); --i) {
      const auto slot = static_cast<Slot>(random.Below(static_cast<int>(stored.size())));
      if (!stored[slot]) continue;
      Remove(slot);
      stored[slot].reset();
    }
    for (int i = 0; i < 40; ++i) {
      const Json filter = random.Filter();
      std::vector<Slot> expected;
      for (Slot slot = 0; slot < stored.size(); ++slot) {
        if (stored[slot] && Fits(*stored[slot], filter)) expected.push_back(slot);
      }
      const auto rows = index_.Select(ParseFilter(filter.dump(), "filter").value());
      if (!rows.ok()) {
        ASSERT_EQ(ReasonOf(rows.status()), Reason::FILTER_FIELD_UNKNOWN) << filter;
        ASSERT_THAT(expected, IsEmpty()) << filter;
        ++unknown;
        continue;
      }
      ASSERT_EQ(SlotsOf(*rows), expected) << filter << " in round " << round;
      selected += expected.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(selected, 500) << "the filters fit too little to say anything";
  EXPECT_GT(unknown, 0);
}

}  // namespace
}  // namespace aibackend::retrieval
