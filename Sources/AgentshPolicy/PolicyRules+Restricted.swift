extension PolicyRules {
  /// Of the operations that only look (stat, access, readlink, list), and of truncating what is open for writing, those
  /// that a rule or the default can deny or ask about. The others are left to the kernel.
  package var restricted: FileOperations {
    let looks: FileOperations = [
      FileOperations(.stat), FileOperations(.access), FileOperations(.readlink), FileOperations(.list),
    ]
    var result: FileOperations = denyReadsByDefault ? looks : []
    for rule in fileRules where rule.decision != .allow && rule.decision != .audit {
      result.formUnion(rule.operations.intersection(looks))
      if rule.tellsTruncating { result.insert(FileOperations(.truncate)) }
    }
    return result
  }
}

extension FileRule {
  /// Whether it speaks of truncating apart from writing. A rule that names both, or neither, says nothing about a file
  /// that is open for writing: whoever may write may cut.
  var tellsTruncating: Bool {
    operations.contains(FileOperations(.truncate)) && !operations.contains(FileOperations(.write))
  }
}
