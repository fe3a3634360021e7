/// Nanoseconds since 1970 of an RFC 3339 time with zone; nil when it is none, or before 1970.
package func nanoseconds(rfc3339 text: String) -> UInt64? {
  var bytes = Array(text.utf8)[...]
  func number(_ digits: Int) -> Int? {
    guard bytes.count >= digits else { return nil }
    var value = 0
    for byte in bytes.prefix(digits) {
      guard (0x30...0x39).contains(byte) else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    bytes = bytes.dropFirst(digits)
    return value
  }
  func take(_ choices: String) -> UInt8? {
    guard let byte = bytes.first, choices.utf8.contains(byte) else { return nil }
    bytes = bytes.dropFirst()
    return byte
  }
  guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil, let day = number(2),
    take("Tt ") != nil, let hour = number(2), take(":") != nil, let minute = number(2), take(":") != nil,
    let second = number(2), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
    second <= 60
  else { return nil }
  var fraction: UInt64 = 0
  if take(".") != nil {
    var digits = 0
    while let digit = take("0123456789") {
      if digits < 9 { fraction = fraction * 10 + UInt64(digit - 0x30) }
      digits += 1
    }
    guard digits > 0 else { return nil }
    for _ in min(digits, 9)..<9 { fraction *= 10 }
  }
  guard let zone = take("Zz+-") else { return nil }
  var offset = 0
  if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
    guard let hours = number(2), take(":") != nil, let minutes = number(2), hours < 24, minutes < 60 else {
      return nil
    }
    offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "+") ? 60 : -60)
  }
  guard bytes.isEmpty else { return nil }
  let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
  guard seconds >= 0 else { return nil }
  return UInt64(seconds) * 1_000_000_000 + fraction
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March.
private func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
  let y = month <= 2 ? year - 1 : year
  let era = y / 400
  let yearOfEra = y - era * 400
  let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
  return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
}
