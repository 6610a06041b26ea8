import WeirCore

/// std/bytes.
extension LibraryModule {
  static var bytes: LibraryModule {
    LibraryModule(
      name: "std/bytes",
      source: #"""
        // Raw bytes, and their forms as text.

        /// The UTF-8 of a string.
        export extern func fromString(text: string) -> bytes
        /// Bytes read as UTF-8; what is not UTF-8 becomes U+FFFD.
        export extern func toString(data: bytes) -> string
        /// Bytes read as UTF-8; None when they are not.
        export extern func decodeUtf8(data: bytes) -> Option[string]
        /// In base64 (RFC 4648) with padding.
        export extern func toBase64(data: bytes) -> string
        /// Reads base64 with padding; the error says what is wrong.
        export extern func fromBase64(text: string) -> Result[bytes, string]
        /// In hexadecimal, small letters.
        export extern func toHex(data: bytes) -> string
        /// How many there are.
        export extern func length(data: bytes) -> int
        /// Bytes `from` up to, not including, `to`; places outside are left out.
        export extern func slice(data: bytes, from: int, to: int) -> bytes
        /// All parts one behind the other.
        export extern func concat(parts: [bytes]) -> bytes
        /// The byte at a place, counted from 0.
        export extern func get(data: bytes, index: int) -> Option[int]
        /// Each byte as an int of 0 to 255.
        export extern func toList(data: bytes) -> [int]
        /// From ints of 0 to 255.
        export extern func fromList(values: [int]) -> Result[bytes, string]
        """#,
      natives: [
        native("fromString") { (text: String) in Bytes(Array(text.utf8)) },
        native("toString") { (data: Bytes) in String(decoding: data.array, as: UTF8.self) },
        native("decodeUtf8") { (data: Bytes) in String(validating: data.array, as: UTF8.self) },
        native("toBase64") { (data: Bytes) in Base64.encode(data.array) },
        native("fromBase64") { (text: String) -> Outcome<Bytes, String> in
          Base64.decode(text).map { .ok(Bytes($0)) } ?? .err("not base64")
        },
        native("toHex") { (data: Bytes) in
          var text = ""
          for byte in data.array {
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
          }
          return text
        },
        native("length") { (data: Bytes) in data.array.count },
        native("slice") { (data: Bytes, from: Int, to: Int) in
          let end = min(max(0, to), data.array.count)
          return Bytes(Array(data.array[min(max(0, from), end)..<end]))
        },
        native("concat") { (parts: [Bytes]) in Bytes(parts.flatMap(\.array)) },
        native("get") { (data: Bytes, index: Int) in data.array.indices.contains(index) ? Int(data.array[index]) : nil
        },
        native("toList") { (data: Bytes) in data.array.map(Int.init) },
        native("fromList") { (values: [Int]) -> Outcome<Bytes, String> in
          var bytes: [UInt8] = []
          for value in values {
            guard let byte = UInt8(exactly: value) else { return .err("\(value) is not a byte") }
            bytes.append(byte)
          }
          return .ok(Bytes(bytes))
        },
      ])
  }
}
