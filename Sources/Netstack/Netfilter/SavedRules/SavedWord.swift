// The words of one line of saved rules, cut as iptables-restore cuts them: blanks part words, double quotes hold them
// together, and a backslash in quotes takes the next character as it is. Mirrors add_param_to_argv in iptables 1.8.9.

internal import Addressing

/// One word with its place.
struct SavedWord {
    /// Without quotes and backslashes.
    var text: String
    /// As it stands in the line.
    var raw: String
    var line: Int
    var column: Int

    func error(
        _ message: String, hint: String = "give what iptables-save or ip6tables-save printed, unchanged"
    ) -> RulesetError {
        RulesetError(line: line, column: column, message, hint: hint)
    }

    /// The words of a line. `number` counts from 1.
    static func words(of line: some StringProtocol, number: Int) throws(RulesetError) -> [SavedWord] {
        var words: [SavedWord] = []
        var text = ""
        var raw = ""
        var start = 1
        var isQuoted = false
        var isEscaped = false
        var quote = 0
        var column = 0
        for character in line.unicodeScalars {
            column += 1
            let isBlank = character == " " || character == "\t"
            if isBlank, !isQuoted {
                if !raw.isEmpty { words.append(SavedWord(text: text, raw: raw, line: number, column: start)) }
                (text, raw) = ("", "")
                continue
            }
            if raw.isEmpty { start = column }
            raw.unicodeScalars.append(character)
            if isEscaped {
                isEscaped = false
                text.unicodeScalars.append(character)
            } else if isQuoted, character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
                quote = column
            } else {
                text.unicodeScalars.append(character)
            }
        }
        if isQuoted {
            throw RulesetError(
                line: number, column: quote, "this quote is not closed", hint: "end the text with another \"")
        }
        if !raw.isEmpty { words.append(SavedWord(text: text, raw: raw, line: number, column: start)) }
        return words
    }
}

extension SavedWord {
    // MARK: values

    /// A number as iptables takes it: decimal, 0x hexadecimal, or octal with a leading 0.
    func number<Number: FixedWidthInteger & Sendable>(
        _ what: String, in range: ClosedRange<Number> = Number.min...Number.max
    ) throws(RulesetError) -> Number {
        try Self.number(text, what, in: range, at: self)
    }

    private static func number<Number: FixedWidthInteger & Sendable>(
        _ text: some StringProtocol, _ what: String, in range: ClosedRange<Number>, at word: SavedWord
    ) throws(RulesetError) -> Number {
        if what == "port", let port = PortNames.number(of: text), let value = Number(exactly: port) { return value }
        let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
        let digits = isHexadecimal ? text.dropFirst(2) : text[...]
        let radix = isHexadecimal ? 16 : text.hasPrefix("0") && text.count > 1 ? 8 : 10
        guard digits.utf8.first != 0x2b, digits.utf8.first != 0x2d, let value = Number(digits, radix: radix),
            range.contains(value)
        else {
            throw word.error(
                "'\(text)' is not a \(what)", hint: "write a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// `N`, `N:M`, `N:` or `:M`.
    func range<Number: FixedWidthInteger & Sendable>(
        _ what: String, separator: Character = ":", of text: Substring? = nil
    ) throws(RulesetError) -> ClosedRange<Number> {
        let parts = (text ?? self.text[...]).split(
            separator: separator, maxSplits: 1, omittingEmptySubsequences: false)
        let everything = Number.min...Number.max
        let low =
            parts[0].isEmpty && parts.count == 2
            ? Number.min
            : try Self.number(parts[0], what, in: everything, at: self)
        guard parts.count == 2 else { return low...low }
        let high = parts[1].isEmpty ? Number.max : try Self.number(parts[1], what, in: everything, at: self)
        guard low <= high else {
            throw error("the range '\(self.text)' ends before it begins", hint: "put the smaller number first")
        }
        return low...high
    }

    func port() throws(RulesetError) -> UInt16 { try number("port") }

    func address(_ family: AddressFamily, _ text: Substring? = nil) throws(RulesetError) -> IPAddress {
        let text = text ?? self.text[...]
        guard let address = IPAddress(text), address.family == family else {
            throw error(
                "'\(text)' is not an IPv\(family.rawValue) address",
                hint: "write it in numbers, such as \(family == .ipv4 ? "10.0.0.1" : "fd00::1")")
        }
        return address
    }

    /// `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK`.
    func maskedAddress(_ family: AddressFamily) throws(RulesetError) -> (address: IPAddress, mask: IPAddress) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return (try address(family, parts[0]), fullMask(family)) }
        let address = try address(family, family == .ipv4 ? Self.completed(parts[0]) : parts[0])
        if let mask = IPAddress(parts[1]), mask.family == family { return (address.masked(by: mask), mask) }
        let length = try Self.number(parts[1], "prefix length or mask", in: 0...family.bitWidth, at: self)
        let (high, low) = IPPrefix.mask(length: length, family: family)
        let mask = IPAddress(high: high, low: low, family: family)
        return (address.masked(by: mask), mask)
    }

    /// `10/8` is 10.0.0.0/8, and `0/0` is everything.
    private static func completed(_ network: Substring) -> Substring {
        let parts = network.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count < 4, parts.allSatisfy({ UInt8($0) != nil }) else { return network }
        return network + String(repeating: ".0", count: 4 - parts.count)
    }

    /// A block of addresses, where no other mask will do.
    func prefix(_ family: AddressFamily) throws(RulesetError) -> IPPrefix {
        let (address, mask) = try maskedAddress(family)
        guard let length = mask.prefixLength else {
            throw error("the mask of '\(text)' is no prefix length", hint: "give the mask as a length")
        }
        return IPPrefix(address, length: length)
    }

    /// `VALUE` or `VALUE/MASK`.
    func mark() throws(RulesetError) -> MarkBits {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let everything = UInt32.min...UInt32.max
        let value = try Self.number(parts[0], "mark", in: everything, at: self)
        guard parts.count == 2 else { return MarkBits(value) }
        return MarkBits(value, mask: try Self.number(parts[1], "mask of a mark", in: everything, at: self))
    }

    func octetBits(_ what: String) throws(RulesetError) -> OctetBits {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let everything = UInt8.min...UInt8.max
        let value = try Self.number(parts[0], what, in: everything, at: self)
        guard parts.count == 2 else { return OctetBits(value) }
        return OctetBits(value, mask: try Self.number(parts[1], "mask", in: everything, at: self))
    }

    /// An interface name, perhaps with a plus at its end.
    func interface() throws(RulesetError) -> InterfacePattern {
        guard !text.isEmpty, text.utf8.count <= 15, !text.contains("/") else {
            throw error("'\(text)' is not an interface name", hint: "names have 1 to 15 octets")
        }
        return InterfacePattern(text)
    }

    func `protocol`() throws(RulesetError) -> IPProtocol {
        let name = text.lowercased()
        if name == "all" { return IPProtocol(rawValue: 0) }
        guard let known = protocolNamed(name) else {
            throw error("no protocol is called '\(text)'", hint: "write its number")
        }
        return known
    }

    /// Words joined by commas, each found in a list.
    func flags<Flags: OptionSet>(_ what: String, _ names: [(Flags, String)]) throws(RulesetError) -> Flags {
        var result: Flags = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let (flag, _) = names.first(where: { $0.1 == name.uppercased() }) else {
                throw error(
                    "'\(name)' is not a \(what)",
                    hint: "known are " + names.map(\.1).joined(separator: ", "))
            }
            result.formUnion(flag)
        }
        return result
    }

    /// One word of a closed list.
    func one<Word: RawRepresentable & CaseIterable>(
        of what: String, _ type: Word.Type
    ) throws(RulesetError) -> Word where Word.RawValue == String {
        guard let known = Word.allCases.first(where: { $0.rawValue.lowercased() == text.lowercased() }) else {
            throw error(
                "'\(text)' is not a \(what)",
                hint: "known are " + Word.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return known
    }
}

extension IPAddress {
    /// How many leading ones a mask has; nil when ones follow zeros.
    var prefixLength: Int? {
        let length = (0...family.bitWidth).first { IPPrefix.mask(length: $0, family: family) == (high, low) }
        return length
    }
}
