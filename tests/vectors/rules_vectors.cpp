#include "tests/vectors/vectors.h"

#include <string>

namespace iotcore::vectors {

void run_rules(std::istream& in, Report& report) {
  std::string line;
  while (std::getline(in, line)) {
    report.skip(line.substr(0, line.find(',')), "nothing evaluates yet");
  }
}

}  // namespace iotcore::vectors
