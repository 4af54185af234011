// What fuzzing has found stays found: every file of corpus/ and regressions/
// goes through its target, and so do all that are cut short, changed in one
// field, or changed at random.
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "c10/util/Logging.h"
#include "inspect/inspect.h"
#include "inspect/inspect_json.h"
#include "netdef/model_reader.h"
#include "serialization/wire_reader.h"
#include "tests/fuzz/fuzz_targets.h"
#include "tests/support/mutated_bytes.h"

namespace caffe2_quantization {
namespace {

using Target = std::string (*)(const uint8_t*, std::size_t);

struct Seed {
  std::string path;
  std::string bytes;
};

std::string SourceFolder() {
  const char* folder = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  return folder == nullptr ? "." : folder;
}

Seed ReadSeed(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {path, std::string(std::istreambuf_iterator<char>(file), {})};
}

// The files of a folder under tests/fuzz, in the order of their names; a folder
// that is not there has none.
std::vector<Seed> SeedsOf(const std::string& folder) {
  const std::string path = SourceFolder() + "/tests/fuzz/" + folder;
  std::vector<std::string> names;
  if (DIR* opened = opendir(path.c_str())) {
    while (const dirent* entry = readdir(opened)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    closedir(opened);
  }
  std::sort(names.begin(), names.end());
  std::vector<Seed> seeds;
  for (const std::string& name : names) {
    seeds.push_back(ReadSeed(path + '/' + name));
  }
  return seeds;
}

std::string Hex(const std::string& bytes) {
  std::string text;
  char digits[4];
  for (const char c : bytes.substr(0, 300)) {
    std::snprintf(digits, sizeof(digits), "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += digits;
  }
  return text + (bytes.size() > 300 ? "…" : "");
}

// False, and a failure, when the target has found something.
bool Passes(Target target, const std::string& bytes, const std::string& what) {
  const std::string finding =
      target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  EXPECT_EQ(finding, "") << what << ": " << Hex(bytes);
  return finding.empty();
}

// ---- Messages as trees, to change a field and keep the lengths right --------

struct Node {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::string payload;         // of what is no message below
  std::vector<Node> children;  // of a message
  bool is_message = false;
};

std::string Serialize(const std::vector<Node>& fields) {
  std::string bytes;
  for (const Node& node : fields) {
    const std::string payload =
        node.is_message ? Serialize(node.children) : node.payload;
    bytes +=
        Varint(uint64_t{node.number} << 3 | static_cast<uint64_t>(node.type));
    if (node.type == WireType::kBytes) bytes += Varint(payload.size());
    bytes += payload;
  }
  return bytes;
}

// False when the bytes are no message.
bool Parse(const MessageSchema& message, WireReader reader,
           std::vector<Node>* fields) {
  WireField field;
  while (!reader.AtEnd()) {
    if (!reader.Next(&field).ok() || field.type == WireType::kGroup) {
      return false;
    }
    Node node;
    node.number = field.number;
    node.type = field.type;
    const FieldSchema* known = message.Find(field.number);
    if (known != nullptr && known->kind == FieldKind::kMessage &&
        field.type == WireType::kBytes) {
      node.is_message = true;
      if (!Parse(*known->message, reader.Nested(field), &node.children)) {
        return false;
      }
    } else {
      node.payload.assign(reinterpret_cast<const char*>(field.begin),
                          field.size());
    }
    fields->push_back(std::move(node));
  }
  return true;
}

// Calls visit for each way to change one field of the tree, with the tree so
// changed.
void ForEachFieldMutation(std::vector<Node>* fields,
                          const std::function<void()>& visit) {
  static const std::string kVarints[] = {
      Varint(0),
      Varint(1),
      Varint(128),
      Varint(256),
      Varint(INT32_MAX),
      Varint(uint64_t{1} << 31),
      Varint(uint64_t{1} << 32),
      Varint(INT64_MAX),
      Varint(UINT64_MAX),
      std::string(9, '\x80') + '\0',
  };
  static const double kDoubles[] = {0, -1, 1e308,
                                    std::numeric_limits<double>::infinity(),
                                    std::numeric_limits<double>::quiet_NaN()};
  for (std::size_t i = 0; i < fields->size(); ++i) {
    const Node original = (*fields)[i];
    const auto with = [&](const std::function<void(Node*)>& change) {
      change(&(*fields)[i]);
      visit();
      (*fields)[i] = original;
    };
    // Left out, twice, another number, another type.
    fields->erase(fields->begin() + static_cast<std::ptrdiff_t>(i));
    visit();
    fields->insert(fields->begin() + static_cast<std::ptrdiff_t>(i), 2,
                   original);
    visit();
    fields->erase(fields->begin() + static_cast<std::ptrdiff_t>(i));
    with([](Node* node) { node->number += 1; });
    with([](Node* node) { node->number = 1000; });
    for (const auto& [type, payload] :
         {std::pair<WireType, std::string>{WireType::kVarint, Varint(3)},
          {WireType::kFixed32, std::string(4, '\x01')},
          {WireType::kFixed64, std::string(8, '\x01')},
          {WireType::kBytes, std::string("\x08\x01", 2)}}) {
      with([&type = type, &payload = payload](Node* node) {
        node->is_message = false;
        node->type = type;
        node->payload = payload;
      });
    }
    if (original.type == WireType::kVarint) {
      for (const std::string& value : kVarints) {
        with([&value](Node* node) { node->payload = value; });
      }
    } else if (original.type == WireType::kFixed64) {
      for (const double value : kDoubles) {
        with([value](Node* node) {
          std::memcpy(&node->payload[0], &value, sizeof(value));
        });
      }
    } else if (original.type == WireType::kBytes && !original.is_message) {
      with([](Node* node) { node->payload.clear(); });
      with([](Node* node) { node->payload += node->payload; });
      with([](Node* node) { node->payload += '\x80'; });
      with([](Node* node) { node->payload.resize(node->payload.size() / 2); });
      with([](Node* node) {
        node->payload.insert(0, std::string("\xFF\xFF\xFF\xFF\x0F", 5));
      });
    }
    if (original.is_message) {
      with([](Node* node) { node->children.clear(); });
      ForEachFieldMutation(&(*fields)[i].children, visit);
    }
  }
}

// ---- Tests ------------------------------------------------------------------

struct TargetEntry {
  const char* name;  // of its folders
  Target run;
  std::vector<ModelForm> forms;           // of its seeds
  const MessageSchema* schema = nullptr;  // of its seeds, if they are no models
};

// What EveryFieldChanged has to know of proto/profile.proto: which fields are
// messages.
#define MESSAGE(name, ...)                                 \
  constexpr FieldSchema k##name##Fields[] = {__VA_ARGS__}; \
  constexpr MessageSchema k##name = {                      \
      #name, k##name##Fields, sizeof(k##name##Fields) / sizeof(FieldSchema)}
#define FIELD(number, name, schema) \
  { number, name, FieldKind::kMessage, true, &schema }
constexpr MessageSchema kNoMessages = {"", nullptr, 0};
MESSAGE(Output, FIELD(4, "shapes", kNoMessages), FIELD(6, "range", kNoMessages),
        FIELD(7, "raw_range", kNoMessages), FIELD(8, "histogram", kNoMessages),
        FIELD(9, "column_max", kNoMessages));
MESSAGE(Operator, FIELD(4, "outputs", kOutput));
MESSAGE(Profile, FIELD(5, "options", kNoMessages),
        FIELD(10, "operators", kOperator),
        FIELD(11, "provenance", kNoMessages));
#undef FIELD
#undef MESSAGE

class FuzzRegressionTest : public testing::TestWithParam<TargetEntry> {
 protected:
  static void SetUpTestSuite() {
    // Refusals are most of the work: no stack trace for each.
    c10::SetStackTraceFetcher([] { return std::string(); });
  }

  static std::vector<Seed> Corpus() {
    return SeedsOf(std::string("corpus/") + GetParam().name);
  }

  static std::vector<const MessageSchema*> Schemas() {
    if (GetParam().schema != nullptr) return {GetParam().schema};
    std::vector<const MessageSchema*> schemas;
    for (const ModelForm form : GetParam().forms) {
      schemas.push_back(SchemaOf(form));
    }
    return schemas;
  }

  // False when the bytes are of another form.
  static bool IsWhole(const MessageSchema& schema, const std::string& bytes) {
    if (GetParam().schema != nullptr) return true;
    const MessageScan scan =
        ScanMessage(schema, "", bytes.data(), bytes.size());
    return !scan.broken && scan.likely == bytes.size();
  }
};

TEST_P(FuzzRegressionTest, CorpusAndRegressions) {
  std::vector<Seed> seeds = Corpus();
  ASSERT_FALSE(seeds.empty());
  const auto found = SeedsOf(std::string("regressions/") + GetParam().name);
  seeds.insert(seeds.end(), found.begin(), found.end());
  for (const Seed& seed : seeds) {
    Passes(GetParam().run, seed.bytes, seed.path);
  }
}

TEST_P(FuzzRegressionTest, TruncatedAtEveryByte) {
  constexpr std::size_t kLongest = 1024;
  for (const Seed& seed : Corpus()) {
    if (seed.bytes.size() > kLongest) continue;
    for (std::size_t size = 0; size < seed.bytes.size(); ++size) {
      if (!Passes(GetParam().run, seed.bytes.substr(0, size),
                  seed.path + " cut at " + std::to_string(size))) {
        break;
      }
    }
  }
}

TEST_P(FuzzRegressionTest, EveryFieldChanged) {
  constexpr std::size_t kLongest = 1024;
  std::size_t mutations = 0;
  for (const Seed& seed : Corpus()) {
    if (seed.bytes.size() > kLongest) continue;
    for (const MessageSchema* schema : Schemas()) {
      std::vector<Node> fields;
      if (!IsWhole(*schema, seed.bytes) ||
          !Parse(*schema, WireReader(seed.bytes.data(), seed.bytes.size()),
                 &fields)) {
        continue;
      }
      bool good = true;
      ForEachFieldMutation(&fields, [&] {
        ++mutations;
        good = good &&
               Passes(GetParam().run, Serialize(fields),
                      seed.path + ", mutation " + std::to_string(mutations));
      });
      break;
    }
  }
  EXPECT_GT(mutations, 1000u);
}

INSTANTIATE_TEST_SUITE_P(
    Targets, FuzzRegressionTest,
    testing::Values(
        TargetEntry{
            "qtensor_decoder", FuzzQTensorDecoder, {ModelForm::kBlobProto}},
        TargetEntry{"inspect",
                    FuzzInspect,
                    {ModelForm::kNetDef, ModelForm::kBlobProto,
                     ModelForm::kTensorProtos, ModelForm::kMetaNetDef}},
        TargetEntry{"profile", FuzzProfile, {}, &kProfile}),
    [](const testing::TestParamInfo<TargetEntry>& info) {
      return std::string(info.param.name);
    });

// Bytes that a line of /proc/self/status tells; 0 where there is none.
uint64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.compare(0, key.size() + 1, key + ':') == 0) {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
    }
  }
  return 0;
}

// The models of examples/, and a database and a predictor that Caffe2 wrote.
std::vector<Seed> RealModels() {
  std::vector<Seed> models;
  for (const char* name :
       {"examples/digits/init_net.pb", "examples/digits/init_net_byte.pb",
        "examples/digits/init_net_qtensor.pb", "examples/digits/predict_net.pb",
        "examples/digits/test_images.pb",
        "tests/fuzz/corpus/inspect/chunks.minidb",
        "tests/fuzz/corpus/inspect/meta_net.pb",
        "tests/fuzz/corpus/inspect/meta_net.pbtxt",
        "tests/fuzz/corpus/inspect/predict_net.pbtxt",
        "tests/fuzz/corpus/inspect/predictor.minidb"}) {
    models.push_back(ReadSeed(SourceFolder() + '/' + name));
  }
  return models;
}

TEST(InspectMutationTest, ThousandMutatedModelsTakeLittleMemory) {
  constexpr int kCopies = 1000;
  constexpr uint64_t kMostBytes = uint64_t{1} << 30;
  const std::vector<Seed> models = RealModels();
  // From here on the peak is this test's own.
  std::ofstream("/proc/self/clear_refs") << "5";
  const uint64_t before = StatusBytes("VmRSS");
  int broken = 0;
  for (int i = 0; i < kCopies; ++i) {
    const Seed& model = models[static_cast<std::size_t>(i) % models.size()];
    ASSERT_FALSE(model.bytes.empty()) << model.path;
    SCOPED_TRACE(model.path + ", seed " + std::to_string(i));
    std::mt19937_64 random(static_cast<uint64_t>(i));
    const std::string bytes = Mutated(model.bytes, &random);
    InspectReport report;
    InspectBytes(bytes.data(), bytes.size(), &report);
    EXPECT_EQ(report.ok(), report.faults.empty());
    EXPECT_FALSE(ToJson(std::vector<InspectReport>{report}).empty());
    broken += report.ok() ? 0 : 1;
  }
  const uint64_t peak = StatusBytes("VmHWM");
  std::printf(
      "seeds 0 to %d; %d broken; %lld KiB more at the peak\n", kCopies - 1,
      broken,
      (static_cast<long long>(peak) - static_cast<long long>(before)) / 1024);
  EXPECT_GT(broken, kCopies / 4);
  EXPECT_LT(broken, kCopies);
  if (peak != 0) {
    EXPECT_LT(peak, before + kMostBytes);
  }
}

}  // namespace
}  // namespace caffe2_quantization
