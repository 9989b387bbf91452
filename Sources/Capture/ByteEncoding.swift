// Integers to octets and back. Both file formats write integers in the byte order of the machine that wrote them and
// mark which one it was: this module always writes little-endian, so that the same capture has the same octets
// everywhere, and reads both. Every read is checked against the end of what it may touch.

extension [UInt8] {
    mutating func append(littleEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    mutating func store(littleEndian value: UInt32, at offset: Int) {
        for index in 0..<4 { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
}

enum ByteOrder {
    case littleEndian
    case bigEndian
}

/// Reads forward through `bytes`, never beyond `end`.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var offset: Int
    let end: Int
    var order: ByteOrder

    init(_ bytes: [UInt8], order: ByteOrder = .littleEndian) {
        self.bytes = bytes
        self.offset = 0
        self.end = bytes.count
        self.order = order
    }

    private init(_ bytes: [UInt8], from offset: Int, to end: Int, order: ByteOrder) {
        self.bytes = bytes
        self.offset = offset
        self.end = end
        self.order = order
    }

    var remaining: Int { end - offset }

    /// An integer in the byte order of the file.
    mutating func integer<Value: FixedWidthInteger>(
        _ field: StaticString, as type: Value.Type = Value.self
    ) throws(CaptureFormatError) -> Value {
        let value = try networkInteger(field, as: type)
        return order == .bigEndian ? value : value.byteSwapped
    }

    /// An integer that is in network byte order whatever the order of the file.
    mutating func networkInteger<Value: FixedWidthInteger>(
        _ field: StaticString, as type: Value.Type = Value.self
    ) throws(CaptureFormatError) -> Value {
        let range = try advance(Value.bitWidth / 8, field)
        var value: Value = 0
        for index in range { value = (value << 8) | Value(truncatingIfNeeded: bytes[index]) }
        return value
    }

    mutating func octets(_ count: Int, _ field: StaticString) throws(CaptureFormatError) -> [UInt8] {
        Array(bytes[try advance(count, field)])
    }

    mutating func text(_ count: Int, _ field: StaticString) throws(CaptureFormatError) -> String {
        String(decoding: bytes[try advance(count, field)], as: UTF8.self)
    }

    mutating func skip(_ count: Int, _ field: StaticString) throws(CaptureFormatError) {
        _ = try advance(count, field)
    }

    /// The next `count` octets as a reader of their own.
    mutating func part(_ count: Int, _ field: StaticString) throws(CaptureFormatError) -> ByteReader {
        let range = try advance(count, field)
        return ByteReader(bytes, from: range.lowerBound, to: range.upperBound, order: order)
    }

    private mutating func advance(_ count: Int, _ field: StaticString) throws(CaptureFormatError) -> Range<Int> {
        guard count >= 0, count <= remaining else {
            throw CaptureFormatError(offset: offset, message: "\(field) needs \(count) octets, \(remaining) are left")
        }
        defer { offset += count }
        return offset..<(offset + count)
    }
}

/// The number of octets that fill `count` up to a multiple of four.
func padding(after count: Int) -> Int { (4 - count % 4) % 4 }
