// The packed byte kernels: every target against the plain reference, within
// bounds, on every form of varint.
#include "quantization/kernels/packed_bytes.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/every_target.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

using Bytes = std::vector<uint8_t>;

// A buffer that ends where an inaccessible page begins, so that one byte too
// many is a fault.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t size) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (size + page - 1) / page * page + page;
    void* base = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(base, MAP_FAILED);
    base_ = static_cast<uint8_t*>(base);
    EXPECT_EQ(mprotect(base_ + mapped_ - page, page, PROT_NONE), 0);
    data_ = base_ + mapped_ - page - size;
  }
  ~GuardedBuffer() { munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  uint8_t* data() { return data_; }
  void Assign(const Bytes& bytes) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), size_);
  }
  Bytes Contents() const { return Bytes(data_, data_ + size_); }

 private:
  size_t size_;
  size_t mapped_ = 0;
  uint8_t* base_ = nullptr;
  uint8_t* data_ = nullptr;
};

// The wire form by its definition, with `padding` extra bytes in each varint.
void AppendVarint(uint64_t value, size_t padding, Bytes* out) {
  while (value >= 0x80 || padding > 0) {
    if (value < 0x80) --padding;
    out->push_back(static_cast<uint8_t>(value) | 0x80);
    value >>= 7;
  }
  out->push_back(static_cast<uint8_t>(value));
}

Bytes WireOf(const Bytes& values) {
  Bytes wire;
  for (uint8_t v : values) AppendVarint(v, 0, &wire);
  return wire;
}

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t n = 0; n <= 200; ++n) sizes.push_back(n);
  for (size_t base : {256, 512, 1024, 4096}) {
    for (size_t n = base - 2; n <= base + 2; ++n) sizes.push_back(n);
  }
  return sizes;
}

// Values below 128, from 128 on, in turn, at random, and long runs of each.
std::vector<Bytes> Patterns(size_t n) {
  std::mt19937 random(static_cast<uint32_t>(n));
  std::vector<Bytes> patterns(7, Bytes(n));
  for (size_t i = 0; i < n; ++i) {
    patterns[0][i] = random() & 0x7F;
    patterns[1][i] = random() | 0x80;
    patterns[2][i] = i % 2 == 0 ? 0x80 : 0x01;
    patterns[3][i] = i % 2 == 0 ? 0x01 : 0xFF;
    patterns[4][i] = static_cast<uint8_t>(random());
    patterns[5][i] = (i / 61) % 2 == 0 ? 0x7F : 0x80;
    patterns[6][i] = 0x01;
  }
  return patterns;
}

class PackedBytesTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(PackedBytesTest);

TEST_P(PackedBytesTest, RoundTripStaysInBounds) {
  for (size_t n : Sizes()) {
    for (const Bytes& values : Patterns(n)) {
      const Bytes wire = WireOf(values);
      GuardedBuffer src(n);
      src.Assign(values);
      ASSERT_EQ(PackedBytesSize(src.data(), n), wire.size()) << "n " << n;
      GuardedBuffer encoded(wire.size());
      ASSERT_EQ(EncodePackedBytes(src.data(), n, encoded.data()), wire.size());
      ASSERT_EQ(encoded.Contents(), wire) << "n " << n;

      GuardedBuffer decoded(n);
      const PackedBytesResult result =
          DecodePackedBytes(encoded.data(), wire.size(), decoded.data(), n);
      ASSERT_EQ(result.outcome, PackedBytesOutcome::kOk) << "n " << n;
      ASSERT_EQ(result.consumed, wire.size());
      ASSERT_EQ(result.produced, n);
      ASSERT_EQ(decoded.Contents(), values) << "n " << n;
    }
  }
}

TEST_P(PackedBytesTest, NoByteBeforeOrAfterIsTouched) {
  constexpr size_t kMargin = 80;
  for (size_t n : {0, 1, 15, 31, 63, 64, 65, 127, 128, 129, 300}) {
    for (size_t offset = 0; offset < 17; ++offset) {
      for (const Bytes& values : Patterns(n)) {
        const Bytes wire = WireOf(values);
        Bytes encoded(offset + wire.size() + kMargin, 0xAA);
        EncodePackedBytes(values.data(), n, encoded.data() + offset);
        Bytes expected(encoded.size(), 0xAA);
        std::copy(wire.begin(), wire.end(), expected.begin() + offset);
        ASSERT_EQ(encoded, expected);

        Bytes decoded(offset + n + kMargin, 0xAA);
        DecodePackedBytes(encoded.data() + offset, wire.size(),
                          decoded.data() + offset, n);
        expected.assign(decoded.size(), 0xAA);
        std::copy(values.begin(), values.end(), expected.begin() + offset);
        ASSERT_EQ(decoded, expected);
      }
    }
  }
}

// Whatever the bytes are, a target and the reference agree on everything.
void ExpectAsReference(const Bytes& wire, size_t capacity) {
  Bytes expected(capacity);
  const PackedBytesResult want = reference::DecodePackedBytes(
      wire.data(), wire.size(), expected.data(), capacity);
  GuardedBuffer src(wire.size());
  src.Assign(wire);
  GuardedBuffer dst(capacity);
  const PackedBytesResult got =
      DecodePackedBytes(src.data(), wire.size(), dst.data(), capacity);
  ASSERT_EQ(got.outcome, want.outcome);
  ASSERT_EQ(got.consumed, want.consumed);
  ASSERT_EQ(got.produced, want.produced);
  ASSERT_EQ(got.value, want.value);
  ASSERT_TRUE(std::equal(expected.begin(), expected.begin() + want.produced,
                         dst.data()));
}

TEST_P(PackedBytesTest, TruncationAtEveryByte) {
  for (const Bytes& values : Patterns(300)) {
    const Bytes wire = WireOf(values);
    for (size_t size = 0; size <= wire.size(); ++size) {
      ASSERT_NO_FATAL_FAILURE(ExpectAsReference(
          Bytes(wire.begin(), wire.begin() + size), values.size()));
    }
  }
}

TEST_P(PackedBytesTest, EveryCapacity) {
  for (const Bytes& values : Patterns(300)) {
    const Bytes wire = WireOf(values);
    for (size_t capacity = 0; capacity <= 310; ++capacity) {
      ASSERT_NO_FATAL_FAILURE(ExpectAsReference(wire, capacity));
    }
  }
}

TEST_P(PackedBytesTest, LongerFormsAmongShortOnes) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const size_t n = random() % 500;
    const uint32_t rarity = 1 + random() % 100;
    Bytes values(n);
    Bytes wire;
    for (uint8_t& v : values) {
      v = static_cast<uint8_t>(random());
      const size_t padding = random() % rarity == 0 ? random() % 9 : 0;
      AppendVarint(v, padding, &wire);
    }
    Bytes decoded(n);
    const PackedBytesResult result =
        DecodePackedBytes(wire.data(), wire.size(), decoded.data(), n);
    ASSERT_EQ(result.outcome, PackedBytesOutcome::kOk);
    ASSERT_EQ(result.consumed, wire.size());
    ASSERT_EQ(decoded, values);
    ASSERT_NO_FATAL_FAILURE(ExpectAsReference(wire, n));
  }
}

TEST_P(PackedBytesTest, ArbitraryBytes) {
  for (uint32_t seed = 0; seed < 4000; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    Bytes wire(random() % 400);
    const uint32_t kind = random() % 4;
    for (uint8_t& byte : wire) {
      byte = static_cast<uint8_t>(random());
      if (kind == 1) byte |= 0x80;
      if (kind == 2) byte = byte < 0x80 ? 1 : byte;
      if (kind == 3 && random() % 3 != 0) byte &= 0x81;
    }
    ASSERT_NO_FATAL_FAILURE(ExpectAsReference(wire, random() % 400));
  }
}

TEST_P(PackedBytesTest, RefusalsNameThePlace) {
  struct Case {
    const char* name;
    Bytes varint;
    PackedBytesOutcome outcome;
    int32_t value;
  };
  const std::vector<Case> cases = {
      {"256", {0x80, 0x02}, PackedBytesOutcome::kOutOfRange, 256},
      {"300 padded", {0xAC, 0x82, 0x00}, PackedBytesOutcome::kOutOfRange, 300},
      {"-1",
       {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01},
       PackedBytesOutcome::kOutOfRange,
       -1},
      {"2^31",
       {0x80, 0x80, 0x80, 0x80, 0x08},
       PackedBytesOutcome::kOutOfRange,
       INT32_MIN},
      {"eleven bytes",
       {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
       PackedBytesOutcome::kOverlong,
       0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    for (size_t before = 0; before < 140; ++before) {
      for (uint8_t filler : {uint8_t{0x05}, uint8_t{0x85}}) {
        Bytes wire = WireOf(Bytes(before, filler));
        const size_t offset = wire.size();
        wire.insert(wire.end(), c.varint.begin(), c.varint.end());
        wire.resize(wire.size() + 150, 0x07);
        Bytes decoded(1000);
        const PackedBytesResult result = DecodePackedBytes(
            wire.data(), wire.size(), decoded.data(), decoded.size());
        ASSERT_EQ(result.outcome, c.outcome);
        ASSERT_EQ(result.consumed, offset);
        ASSERT_EQ(result.produced, before);
        ASSERT_EQ(result.value, c.value);
      }
    }
  }
}

// As protobuf: bits past the low 32 are dropped.
TEST_P(PackedBytesTest, HighBitsAreCutOff) {
  Bytes wire;
  AppendVarint((uint64_t{1} << 32) + 5, 0, &wire);
  AppendVarint((uint64_t{0xFFFFFFFF} << 32) + 255, 0, &wire);
  // A tenth byte with bits past 64.
  wire.insert(wire.end(),
              {0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7F});
  Bytes decoded(3);
  const PackedBytesResult result =
      DecodePackedBytes(wire.data(), wire.size(), decoded.data(), 3);
  EXPECT_EQ(result.outcome, PackedBytesOutcome::kOk);
  EXPECT_EQ(decoded, (Bytes{5, 255, 3}));
}

TEST_P(PackedBytesTest, NarrowFindsTheFirstValueThatIsNoByte) {
  for (size_t n = 0; n <= 200; ++n) {
    std::mt19937 random(static_cast<uint32_t>(n));
    std::vector<int32_t> src(n);
    for (int32_t& v : src) v = static_cast<int32_t>(random() & 0xFF);
    GuardedBuffer dst(n);
    ASSERT_EQ(NarrowInt32ToBytes(src.data(), n, dst.data()), n);
    ASSERT_EQ(dst.Contents(), Bytes(src.begin(), src.end()));
    for (int32_t bad : {-1, 256, INT32_MIN, INT32_MAX, 0x10000}) {
      for (size_t at = 0; at < n; at += 3) {
        std::vector<int32_t> broken = src;
        broken[at] = bad;
        broken[n - 1] = bad;
        ASSERT_EQ(NarrowInt32ToBytes(broken.data(), n, dst.data()), at);
      }
    }
  }
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
