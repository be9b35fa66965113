#include "tests/conformance/cases.h"

#include "tests/conformance/failure.h"

#include <algorithm>
#include <fstream>
#include <set>

namespace iotcore::conformance {
namespace {

std::vector<std::filesystem::path> files_of(
    const std::filesystem::path& folder, const std::string& extension
) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == extension) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string trimmed(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(' ');
  return begin == std::string::npos ? std::string()
                                    : line.substr(begin, line.find_last_not_of(' ') + 1 - begin);
}

void read_header(Case& test, const std::vector<std::string>& words, const std::string& line) {
  if (words[0] == "covers") {
    test.covers.insert(test.covers.end(), words.begin() + 1, words.end());
  } else if (words[0] == "version") {
    test.versions = {words.at(1) == "3" ? Version::k3 : Version::k5};
  } else if (words[0] == "pending") {
    test.pending = trimmed(line).substr(words[0].size() + 1);
  } else if (words[0] == "memory") {
    test.memory_only = true;
  } else if (words[0] == "alone") {
    test.alone = true;
  }
}

bool is_header(const std::string& word) {
  static const std::set<std::string> kWords = {"covers", "version", "pending", "memory", "alone"};
  return kWords.contains(word);
}

void read_file(const std::filesystem::path& path, std::vector<Case>& cases) {
  std::ifstream in(path);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string text = trimmed(line);
    if (text.empty() || text[0] == '#') {
      continue;
    }
    const std::vector<std::string> words = split_words(text);
    if (words[0] == "case") {
      Case& made = cases.emplace_back();
      made.file = path.filename().string();
      made.name = words.at(1);
      made.versions = {Version::k3, Version::k5};
    } else if (cases.empty() || cases.back().file != path.filename().string()) {
      throw Failure(path.string() + ": a step before the first case");
    } else if (is_header(words[0])) {
      read_header(cases.back(), words, text);
    } else {
      Step step;
      step.line = number;
      step.text = text;
      if (words[0] == "3:" || words[0] == "5:") {
        step.version = words[0] == "3:" ? Version::k3 : Version::k5;
        step.text = trimmed(text.substr(2));
      }
      cases.back().steps.push_back(std::move(step));
    }
  }
}

}  // namespace

std::vector<Case> read_cases(const std::filesystem::path& folder) {
  std::vector<Case> cases;
  for (const auto& path : files_of(folder / "cases", ".case")) {
    read_file(path, cases);
  }
  std::set<std::string> names;
  for (const Case& test : cases) {
    if (!names.insert(test.name).second) {
      throw Failure("two cases of the name " + test.name);
    }
  }
  return cases;
}

std::vector<Statement> read_statements(const std::filesystem::path& folder) {
  std::vector<Statement> statements;
  for (const auto& path : files_of(folder, ".tsv")) {
    std::ifstream in(path);
    std::string line;
    while (std::getline(in, line)) {
      if (line.empty() || line[0] == '#') {
        continue;
      }
      const std::size_t first = line.find('\t');
      const std::size_t second = line.find('\t', first + 1);
      if (first == std::string::npos) {
        throw Failure(path.string() + ": no tab in: " + line);
      }
      Statement statement;
      statement.id = line.substr(0, first);
      statement.summary =
          line.substr(first + 1, second == std::string::npos ? second : second - first - 1);
      statement.argument = second == std::string::npos ? "" : line.substr(second + 1);
      statements.push_back(std::move(statement));
    }
  }
  return statements;
}

}  // namespace iotcore::conformance
