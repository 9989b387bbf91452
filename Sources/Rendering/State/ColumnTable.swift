// Rows under headings, set as kubectl sets them (k8s.io/cli-runtime pkg/printers, tabwriter with a minimal width of 6
// and a padding of 3): every column as wide as its widest cell and three blanks, the last one not padded.

/// A table of text.
struct ColumnTable {
    var headings: [String]
    var rows: [[String]] = []

    func text(withHeadings: Bool = true) -> String {
        let lines = (withHeadings ? [headings] : []) + rows
        var widths = headings.map { _ in 6 }
        for line in lines {
            for (column, cell) in line.enumerated() {
                widths[column] = max(widths[column], cell.unicodeScalars.count + 3)
            }
        }
        var text = ""
        for line in lines {
            for (column, cell) in line.enumerated() {
                text += cell
                if column < line.count - 1 {
                    text += String(repeating: " ", count: widths[column] - cell.unicodeScalars.count)
                }
            }
            text += "\n"
        }
        return text
    }
}
