// libYAML's event stream (YAML 1.1, yaml.h) over a buffer: scalars, starts and ends of lists and mappings, each with
// its line and column. JSON is read the same way, being YAML but for the escapes that SourceBuffer takes care of.
// Memory of one event lives until the next is asked for.

import Clibyaml

/// A forward-only walk over the events of one input.
package final class YAMLEventStream {
    package enum Kind {
        case documentStart, documentEnd, streamEnd, alias, scalar, sequenceStart, sequenceEnd, mappingStart, mappingEnd
    }

    /// How a scalar is written, which decides its type and where its own lines stand.
    package enum ScalarStyle: UInt8 {
        /// Without quotes: may be a number, a boolean or null.
        case plain
        /// In quotes or folded (`>`): always a string.
        case quoted
        /// After `|`: a string whose lines stand one below the other in the file.
        case literal
    }

    package let source: SourceBuffer
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    /// The present event; zero, which libYAML takes as none, before the first.
    private let event: UnsafeMutablePointer<yaml_event_t>

    package init(_ source: SourceBuffer) {
        self.source = source
        parser = .allocate(capacity: 1)
        event = .allocate(capacity: 1)
        event.initialize(to: yaml_event_t())
        // The only failure is an allocation failure, on which Swift itself would not go on either.
        precondition(yaml_parser_initialize(parser) == 1, "libYAML could not allocate a parser")
        yaml_parser_set_input_string(parser, source.bytes.baseAddress, source.bytes.count)
    }

    deinit {
        yaml_event_delete(event)
        event.deallocate()
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Reads the next event and says which it is; after the end of the stream it is `.streamEnd` again and again.
    package func next() throws(ManifestError) -> Kind {
        while true {
            yaml_event_delete(event)
            guard yaml_parser_parse(parser, event) == 1 else { throw syntaxError() }
            switch event.pointee.type {
            case YAML_STREAM_START_EVENT: continue
            case YAML_DOCUMENT_START_EVENT: return .documentStart
            case YAML_DOCUMENT_END_EVENT: return .documentEnd
            case YAML_ALIAS_EVENT: return .alias
            case YAML_SCALAR_EVENT: return .scalar
            case YAML_SEQUENCE_START_EVENT: return .sequenceStart
            case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
            case YAML_MAPPING_START_EVENT: return .mappingStart
            case YAML_MAPPING_END_EVENT: return .mappingEnd
            default: return .streamEnd
            }
        }
    }

    /// The line of the event, from 1.
    package var line: Int { event.pointee.start_mark.line + 1 }
    /// The column of the event in characters, from 1.
    package var column: Int { event.pointee.start_mark.column + 1 }

    /// The text of a scalar, escapes resolved; valid until the next event.
    package var scalarText: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: event.pointee.data.scalar.value, count: event.pointee.data.scalar.length)
    }

    package var scalarStyle: ScalarStyle {
        switch event.pointee.data.scalar.style {
        case YAML_PLAIN_SCALAR_STYLE:
            // `!!str 80` is a string; any other tag leaves the text to speak for itself.
            guard event.pointee.data.scalar.plain_implicit == 0, let tag = event.pointee.data.scalar.tag else {
                return .plain
            }
            let name = String(cString: tag)
            return name == "tag:yaml.org,2002:str" || name == "tag:yaml.org,2002:binary" ? .quoted : .plain
        case YAML_LITERAL_SCALAR_STYLE: return .literal
        default: return .quoted
        }
    }

    /// The name after `&` of a scalar, list or mapping, or after `*` of an alias.
    package var anchor: String? {
        let name: UnsafeMutablePointer<yaml_char_t>? =
            switch event.pointee.type {
            case YAML_ALIAS_EVENT: event.pointee.data.alias.anchor
            case YAML_SCALAR_EVENT: event.pointee.data.scalar.anchor
            case YAML_SEQUENCE_START_EVENT: event.pointee.data.sequence_start.anchor
            case YAML_MAPPING_START_EVENT: event.pointee.data.mapping_start.anchor
            default: nil
            }
        return name.map { String(cString: $0) }
    }

    /// An error at the place of the present event.
    package func error(_ message: String, hint: String? = nil) -> ManifestError {
        ManifestError(file: source.name, line: line, column: column, message: message, hint: hint)
    }

    private func syntaxError() -> ManifestError {
        let parser = self.parser.pointee
        let problem = parser.problem.map { String(cString: $0) } ?? "not understood"
        if parser.error == YAML_READER_ERROR {
            return .unreadableText(
                problem: problem, byte: Int(parser.problem_offset), value: Int(parser.problem_value), source: source)
        }
        let context = parser.context.map { String(cString: $0) }
        return .syntax(
            problem: problem, line: parser.problem_mark.line + 1, column: parser.problem_mark.column + 1,
            context: context,
            contextLine: parser.context_mark.line + 1, contextColumn: parser.context_mark.column + 1, source: source)
    }
}
