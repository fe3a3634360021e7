import CYAML

/// Builds the one document of a text from what libyaml finds in it, under the limits of `YAMLDocument`.
///
/// yaml.h; `yaml_parser_parse`.
@safe struct YAMLReader: ~Copyable {
  private enum Event {
    case streamStart, streamEnd, documentStart, documentEnd, sequenceEnd, mappingEnd
    case alias(String)
    case scalar(String, isPlain: Bool, Label)
    case sequenceStart(Label)
    case mappingStart(Label)
  }

  /// What may stand before a value.
  private struct Label {
    var anchor: String?
    /// nil where the value says by itself what it is.
    var tag: String?
  }

  /// What an alias stands for, with what it counts for.
  private struct Anchored {
    let node: YAMLNode
    let values: Int
    let height: Int
  }

  // SAFETY: made once, set up in `init`, given back in `deinit`. It keeps a pointer to the text; see `init`.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private var anchors: [String: Anchored] = [:]
  private var values = 0

  /// `text` must outlive the reader.
  init(_ text: UnsafeBufferPointer<UInt8>) throws(SyntaxError) {
    unsafe parser = .allocate(capacity: 1)
    guard unsafe yaml_parser_initialize(parser) == 1 else {
      unsafe parser.deallocate()
      throw SyntaxError(.whole, "no memory to read it")
    }
    unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
  }

  deinit {
    unsafe yaml_parser_delete(parser)
    unsafe parser.deallocate()
  }

  /// The root of the document; nil where there is none.
  mutating func read() throws(SyntaxError) -> YAMLNode? {
    while true {
      let (event, place) = try next()
      switch event {
      case .streamEnd: return nil
      case .documentStart: return try readDocument()
      case .streamStart: continue
      default: throw SyntaxError(place, "not YAML: no document begins here")
      }
    }
  }

  private mutating func readDocument() throws(SyntaxError) -> YAMLNode {
    let (event, place) = try next()
    let root = try value(event, place, depth: 0).node
    while true {
      switch try next() {
      case (.documentEnd, _): continue
      case (.streamEnd, _): return root
      case (_, let place):
        throw SyntaxError(place, "not YAML: a single document is expected, but found another document")
      }
    }
  }

  // MARK: values

  private mutating func value(
    _ event: Event, _ place: Place, depth: Int
  ) throws(SyntaxError) -> (node: YAMLNode, height: Int) {
    guard depth <= YAMLDocument.depthLimit else { throw Self.tooDeep(place) }
    if case .alias(let name) = event { return try follow(name, place, depth) }
    let before = values
    try count(1, place)
    let (content, height, label) = try content(event, place, depth)
    let node = YAMLNode(place: place, content: content)
    if let tag = label.tag, !Self.knownTags.contains(tag) {
      throw SyntaxError(place, "the tag \(tag) has no meaning here", wayOut: "remove it")
    }
    if let anchor = label.anchor {
      anchors[anchor] = Anchored(node: node, values: values - before, height: height)
    }
    return (node, height)
  }

  private static let knownTags = [
    "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map",
  ]

  private mutating func content(
    _ event: Event, _ place: Place, _ depth: Int
  ) throws(SyntaxError) -> (YAMLNode.Content, height: Int, Label) {
    switch event {
    case .scalar(let text, let isPlain, let label): return (.scalar(text, isPlain: isPlain), 0, label)
    case .sequenceStart(let label):
      let (items, height) = try sequence(depth)
      return (.sequence(items), height, label)
    case .mappingStart(let label):
      let (entries, height) = try mapping(depth)
      return (.mapping(entries), height, label)
    default: throw SyntaxError(place, "not YAML: no value begins here")
    }
  }

  private mutating func sequence(_ depth: Int) throws(SyntaxError) -> ([YAMLNode], height: Int) {
    var items: [YAMLNode] = []
    var height = 0
    while true {
      let (event, place) = try next()
      if case .sequenceEnd = event { return (items, height) }
      let item = try value(event, place, depth: depth + 1)
      height = max(height, item.height + 1)
      items.append(item.node)
    }
  }

  private mutating func mapping(_ depth: Int) throws(SyntaxError) -> ([YAMLNode.Entry], height: Int) {
    var entries: [YAMLNode.Entry] = []
    var height = 0
    while true {
      let (event, place) = try next()
      if case .mappingEnd = event {
        try refuseRepeated(entries)
        return (entries, height)
      }
      let key = try key(event, place, depth)
      let (begun, valuePlace) = try next()
      let value = try value(begun, valuePlace, depth: depth + 1)
      height = max(height, value.height + 1)
      entries.append(YAMLNode.Entry(key: key.name, place: key.place, value: value.node))
    }
  }

  private mutating func key(
    _ event: Event, _ place: Place, _ depth: Int
  ) throws(SyntaxError) -> (name: String, place: Place) {
    switch event {
    case .scalar, .alias:
      let node = try value(event, place, depth: depth + 1).node
      if case .scalar(let name, _) = node.content { return (name, node.place) }
    default: break
    }
    throw SyntaxError(place, "a key must be a single word")
  }

  private func refuseRepeated(_ entries: [YAMLNode.Entry]) throws(SyntaxError) {
    guard Set(entries.map(\.key)).count < entries.count else { return }
    let again = Dictionary(grouping: entries, by: \.key).values.filter { $0.count > 1 }
      .sorted { $0[0].key < $1[0].key }
    let names = again.map { "\"\($0[0].key)\"" }.joined(separator: ", ")
    throw SyntaxError(
      again[0][0].place, "the key \(names) is given twice in one mapping, first here", wayOut: "keep one")
  }

  private mutating func follow(
    _ name: String, _ place: Place, _ depth: Int
  ) throws(SyntaxError) -> (node: YAMLNode, height: Int) {
    guard let anchored = anchors[name] else { throw SyntaxError(place, "not YAML: found undefined alias") }
    guard depth + anchored.height <= YAMLDocument.depthLimit else { throw Self.tooDeep(place) }
    try count(anchored.values, place)
    return (anchored.node, anchored.height)
  }

  private mutating func count(_ more: Int, _ place: Place) throws(SyntaxError) {
    values += more
    guard values <= YAMLDocument.nodeLimit else {
      throw SyntaxError(place, "more than \(YAMLDocument.nodeLimit) values")
    }
  }

  private static func tooDeep(_ place: Place) -> SyntaxError {
    SyntaxError(place, "nested deeper than \(YAMLDocument.depthLimit) levels")
  }

  // MARK: libyaml

  private func next() throws(SyntaxError) -> (Event, Place) {
    var event = unsafe yaml_event_t()
    guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw failure() }
    // SAFETY: what it points to lives until it is deleted; everything is copied out before.
    defer { unsafe yaml_event_delete(&event) }
    return (unsafe Self.content(event), Place(unsafe event.start_mark))
  }

  private static func content(_ event: yaml_event_t) -> Event {
    // SAFETY: the member that is read is the one that the type says.
    switch unsafe event.type {
    case YAML_STREAM_START_EVENT: return .streamStart
    case YAML_DOCUMENT_START_EVENT: return .documentStart
    case YAML_DOCUMENT_END_EVENT: return .documentEnd
    case YAML_ALIAS_EVENT: return .alias(unsafe text(event.data.alias.anchor) ?? "")
    case YAML_SCALAR_EVENT:
      let scalar = unsafe event.data.scalar
      let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let tag = unsafe scalar.quoted_implicit == 1 ? nil : text(scalar.tag)
      return unsafe .scalar(
        String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
        Label(anchor: text(scalar.anchor), tag: tag))
    case YAML_SEQUENCE_START_EVENT:
      let start = unsafe event.data.sequence_start
      return unsafe .sequenceStart(
        Label(anchor: text(start.anchor), tag: start.implicit != 0 ? nil : text(start.tag)))
    case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
    case YAML_MAPPING_START_EVENT:
      let start = unsafe event.data.mapping_start
      return unsafe .mappingStart(
        Label(anchor: text(start.anchor), tag: start.implicit != 0 ? nil : text(start.tag)))
    case YAML_MAPPING_END_EVENT: return .mappingEnd
    // Also what comes after the end.
    default: return .streamEnd
    }
  }

  private static func text(_ pointer: UnsafePointer<UInt8>?) -> String? {
    unsafe pointer.map { unsafe String(cString: $0) }
  }

  private func failure() -> SyntaxError {
    let parser = unsafe parser.pointee
    let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "no memory to read it"
    switch unsafe parser.error {
    case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
      var begun = ""
      if let context = unsafe parser.context {
        let mark = unsafe Place(parser.context_mark)
        begun = unsafe "\(String(cString: context)) (from \(mark.line):\(mark.column)), "
      }
      return SyntaxError(Place(unsafe parser.problem_mark), "not YAML: \(begun)\(problem)")
    default: return SyntaxError(.whole, "not YAML: \(problem)")
    }
  }
}

extension Place {
  fileprivate init(_ mark: yaml_mark_t) {
    self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }
}
