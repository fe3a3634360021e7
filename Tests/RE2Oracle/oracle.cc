// Reads lines of hexadecimal: first the texts, an empty line, then patterns. Answers each pattern with the pattern and E, or a 0/1 for each text.
#include <re2/re2.h>
#include <iostream>
#include <string>
#include <vector>
static std::string unhex(const std::string& s) {
  std::string r;
  for (size_t i = 0; i + 1 < s.size(); i += 2) r += (char)std::stoi(s.substr(i, 2), nullptr, 16);
  return r;
}
int main() {
  std::ios::sync_with_stdio(false);
  std::vector<std::string> texts;
  std::string line;
  while (std::getline(std::cin, line) && !line.empty()) texts.push_back(unhex(line == "-" ? "" : line));
  RE2::Options options;
  options.set_log_errors(false);
  while (std::getline(std::cin, line)) {
    RE2 re(unhex(line), options);
    std::cout << line << ' ';
    if (!re.ok()) std::cout << 'E';
    else for (auto& t : texts) std::cout << (RE2::PartialMatch(t, re) ? '1' : '0');
    std::cout << '\n';
  }
}
