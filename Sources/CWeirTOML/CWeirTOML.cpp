// The only file that knows toml++ (header-only, compiled here). Its errors are exceptions, caught here: without them
// its parser goes on after an error and can run into its own assertions. Nothing may unwind into Swift.
#include "CWeirTOML.h"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

// Assertions of the library, turned from aborts into errors (without NDEBUG, which would turn some into undefined
// behaviour instead). `find_hazard` keeps the known ways into them away.
#undef NDEBUG
struct LibraryAssertion {};
#define TOML_ASSERT(expression) \
  do { \
    if (!(expression)) throw LibraryAssertion{}; \
  } while (false)
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace {

// Parts of one dotted key. toml++ bounds nesting of values at 256, but not of keys, and its destructors recurse.
constexpr int key_part_limit = 16;

struct Unrepresentable {
  toml::source_region where;
};

struct Hazard {
  const char *problem;  // null: none
  uint32_t line, column;
};

// A pass over the text, strings and comments skipped, for what toml++ 3.3 must not be given: keys of very many parts
// (its tables are freed recursively), table headers without a key and brackets that do not match (`[[[` and `[}` fail
// assertions).
class HazardScan {
 public:
  explicit HazardScan(std::string_view text) : text_(text) {}

  Hazard run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        at_++;
        line_++;
        line_start_ = at_;
        dots_ = 0;
        if (open_.empty()) in_value_ = false;
        header_start_ = open_.empty();
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') at_++;
      } else if (c == '"' || c == '\'') {
        skip_string(c);
        header_start_ = false;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        at_++;
      } else if (header_start_ && c == '[') {
        at_++;
        if (at_ < text_.size() && text_[at_] == '[') at_++;
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) at_++;
        if (at_ == text_.size() || !is_key_start(text_[at_])) return found("expected a table name");
        header_start_ = false;
      } else {
        header_start_ = false;
        if (c == '.') {
          if (++dots_ >= key_part_limit) return found("a key of too many parts (16 at most)");
        } else if (c == '=' || c == ',' || c == '{') {
          dots_ = 0;
        }
        if (c == '=') in_value_ = true;
        if (in_value_ && (c == '[' || c == '{')) open_ += c == '[' ? ']' : '}';
        if (in_value_ && (c == ']' || c == '}')) {
          if (open_.empty() || open_.back() != c) return found("a bracket that does not match");
          open_.pop_back();
        }
        at_++;
      }
    }
    return {nullptr, 0, 0};
  }

 private:
  static bool is_key_start(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isalnum(byte) || c == '_' || c == '-' || c == '"' || c == '\'';
  }

  Hazard found(const char *problem) const {
    return {problem, line_, static_cast<uint32_t>(at_ - line_start_) + 1};
  }

  // On the opening quote. An unclosed string ends at its line's end: the parser will say so.
  void skip_string(char quote) {
    const bool is_long = text_.substr(at_, 3) == std::string(3, quote);
    at_ += is_long ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        if (!is_long) return;
        line_++;
        line_start_ = at_ + 1;
      } else if (c == '\\' && quote == '"' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        at_++;
      } else if (c == quote) {
        if (!is_long) {
          at_++;
          return;
        }
        if (text_.substr(at_, 3) == std::string(3, quote)) {
          at_ += 3;
          return;
        }
      }
      at_++;
    }
  }

  std::string_view text_;
  size_t at_ = 0, line_start_ = 0;
  uint32_t line_ = 1;
  int dots_ = 0;
  std::string open_;  // the brackets that must close, innermost last
  bool in_value_ = false, header_start_ = true;
};

void append_string(std::string &out, std::string_view text) {
  static const char digits[] = "0123456789abcdef";
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}

template <typename T>
void append_streamed(std::string &out, const T &value) {
  std::ostringstream stream;
  stream << value;
  append_string(out, stream.str());
}

void append_double(std::string &out, const toml::node &node, double value) {
  if (!std::isfinite(value)) throw Unrepresentable{node.source()};
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  out += text;
  // "1" would read back as an integer.
  if (!std::strpbrk(text, ".e")) out += ".0";
}

void append_node(std::string &out, const toml::node &node) {
  if (const auto *table = node.as_table()) {
    out += '{';
    bool first = true;
    for (auto &&[key, value] : *table) {
      if (!first) out += ',';
      first = false;
      append_string(out, key.str());
      out += ':';
      append_node(out, value);
    }
    out += '}';
  } else if (const auto *array = node.as_array()) {
    out += '[';
    bool first = true;
    for (auto &&value : *array) {
      if (!first) out += ',';
      first = false;
      append_node(out, value);
    }
    out += ']';
  } else if (const auto *text = node.as_string()) {
    append_string(out, text->get());
  } else if (const auto *integer = node.as_integer()) {
    out += std::to_string(integer->get());
  } else if (const auto *number = node.as_floating_point()) {
    append_double(out, node, number->get());
  } else if (const auto *flag = node.as_boolean()) {
    out += flag->get() ? "true" : "false";
  } else if (const auto *date = node.as_date()) {
    append_streamed(out, date->get());
  } else if (const auto *time = node.as_time()) {
    append_streamed(out, time->get());
  } else if (const auto *moment = node.as_date_time()) {
    append_streamed(out, moment->get());
  } else {
    out += "null";
  }
}

weir_toml_result answer(std::string_view text, uint32_t line, uint32_t column) {
  weir_toml_result result{nullptr, 0, line, column};
  auto *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy == nullptr) {
    if (result.error_line == 0) result.error_line = result.error_column = 1;
    return result;
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = 0;
  result.text = copy;
  result.length = text.size();
  return result;
}

weir_toml_result convert(std::string_view text) {
  try {
    const Hazard hazard = HazardScan(text).run();
    if (hazard.problem != nullptr) return answer(hazard.problem, hazard.line, hazard.column);
    const toml::table table = toml::parse(text);
    std::string json;
    append_node(json, table);
    return answer(json, 0, 0);
  } catch (const toml::parse_error &error) {
    const auto at = error.source().begin;
    return answer(error.description(), at.line ? at.line : 1, at.column ? at.column : 1);
  } catch (const Unrepresentable &number) {
    const auto at = number.where.begin;
    return answer("infinity and nan are not allowed here", at.line ? at.line : 1, at.column ? at.column : 1);
  }
}

}  // namespace

extern "C" weir_toml_result weir_toml_to_json(const char *text, size_t length) {
  if (length > WEIR_TOML_BYTE_LIMIT) return answer("the file is larger than 1 MiB", 1, 1);
  try {
    return convert(std::string_view(text == nullptr ? "" : text, text == nullptr ? 0 : length));
  } catch (const LibraryAssertion &) {
    return answer("this is not TOML", 1, 1);
  } catch (const std::exception &error) {
    return answer(error.what(), 1, 1);
  } catch (...) {
    return answer("the file could not be read", 1, 1);
  }
}

extern "C" void weir_toml_free(weir_toml_result *result) {
  if (result == nullptr) return;
  std::free(result->text);
  result->text = nullptr;
  result->length = 0;
}
