// The packet list of a capture as Wireshark's window shows it: the columns of the profile in share/wireshark, read from
// tshark and cut to a width a page can hold. A block of a page asks for one with a comment in front of it:
// <!-- packet list: FILE, DISPLAY FILTER -->

struct PacketList {
    let file: String
    let filter: String

    /// Nil when the line asks for no packet list.
    init?(_ line: String) {
        guard let match = line.wholeMatch(of: /<!-- packet list: ([^,]+), (.+) -->/) else { return nil }
        file = String(match.1)
        filter = String(match.2)
    }

    private static let columns: [(heading: String, field: String, width: Int)] = [
        ("No.", "frame.number", 4), ("Pkt", "frame.packet_id", 3), ("Interface", "frame.interface_name", 21),
        ("Dir", "frame.packet_flags_direction", 3), ("Source", "ip.src", 13), ("Destination", "ip.dst", 13),
        ("Protocol", "_ws.col.Protocol", 8), ("Info", "_ws.col.Info", 22), ("What podnet says", "frame.comment", 66),
    ]

    func lines(in terminal: Terminal) throws -> [String] {
        let fields = Self.columns.map { "-e \($0.field)" }.joined(separator: " ")
        let rows = try terminal.show(
            """
            tshark -d udp.port==8472,vxlan -o tcp.analyze_sequence_numbers:FALSE -r \(file) -Y '\(filter)' \
            -T fields -E separator='|' -E occurrence=a -E aggregator=';' \(fields)
            """)
        let heading = Self.columns.map(\.heading)
        return ([heading] + rows.map(Self.cells)).map { cells in
            var line = ""
            for (cell, column) in zip(cells, Self.columns) {
                let cut = cell.count > column.width ? cell.prefix(column.width - 1) + "…" : cell[...]
                line += cut + String(repeating: " ", count: column.width - cut.count + 1)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    private static func cells(_ row: String) -> [String] {
        var cells = row.split(separator: "|", maxSplits: columns.count - 1, omittingEmptySubsequences: false)
            .map(String.init)
        guard cells.count == columns.count else { return cells }
        cells[3] = cells[3].hasSuffix("1") ? "in" : "out"
        // The last address is that of the innermost packet, which Wireshark's columns show too.
        for column in 4...5 { cells[column] = cells[column].split(separator: ";").last.map(String.init) ?? "" }
        cells[8] = cells[8].replacing(";", with: ", ")
        return cells
    }
}
